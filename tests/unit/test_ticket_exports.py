import json
from pathlib import Path

import pytest

from askfleet.sources.jira_export import read_jira_export
from askfleet.sources.records import Record
from askfleet.sources.rendering import Cleaning, rendered
from askfleet.sources.zendesk_export import read_zendesk_export
from contracts.document import Outcome
from contracts.errors import Misconfigured
from tests.components import DEV_DATA, missing

TICKETS = DEV_DATA / "tickets"


@pytest.fixture
def tickets() -> Path:
    if not TICKETS.exists():
        missing(f"no development data at {DEV_DATA}")
    return TICKETS


def records(path: Path) -> list[Record]:
    read = read_jira_export if path.name.startswith("jira") else read_zendesk_export
    items = list(read(path))
    assert [item for item in items if isinstance(item, Outcome)] == []
    return [item for item in items if isinstance(item, Record)]


def page(record: Record) -> str:
    return rendered(record, Cleaning(masks=(), signatures=False, quotes=False)).document.content.decode()


@pytest.mark.needs_data
@pytest.mark.parametrize(
    ("name", "kept", "deleted", "entries", "attachments"),
    [
        ("jira_v3_search_issues_recorded", 1, 0, 0, 0),
        ("jira_v3_issue_comments_recorded", 2, 0, 2, 0),
        ("jira_v3_search_issues_adf", 1, 0, 2, 1),
        ("jira_v3_issue_adf", 1, 0, 2, 1),
        ("jira_v3_issue_comments_adf", 1, 0, 1, 0),
        ("jira_v2_search_issues", 1, 0, 2, 1),
        ("jira_v2_agile_sprint_issues_recorded", 3, 0, 0, 0),
        ("zendesk_tickets_page_recorded", 12, 0, 0, 0),
        ("zendesk_ticket_audits_recorded", 1, 0, 8, 0),
        ("zendesk_ticket_create_with_comment_recorded", 1, 0, 1, 0),
        ("zendesk_legacy_ticket_export_recorded", 0, 25, 0, 0),
        ("zendesk_incremental_tickets_cursor_ASSEMBLED", 12, 0, 0, 0),
        ("zendesk_ticket_comments_ASSEMBLED", 1, 0, 10, 0),
        ("zendesk_help_center_articles_ASSEMBLED", 4, 1, 0, 0),
    ],
)
def test_every_recorded_file_is_read_whole(
    tickets: Path, name: str, kept: int, deleted: int, entries: int, attachments: int
):
    found = records(tickets / f"{name}.json")
    assert sum(not record.deleted for record in found) == kept
    assert sum(record.deleted for record in found) == deleted
    assert sum(len(record.entries) for record in found) == entries
    assert sum(len(record.attachments) for record in found) == attachments


@pytest.mark.needs_data
def test_the_fields_of_recorded_issues_stand_in_their_pages(tickets: Path):
    for name in ("jira_v3_search_issues_recorded", "jira_v2_agile_sprint_issues_recorded"):
        path = tickets / f"{name}.json"
        issues = json.loads(path.read_bytes())["issues"]
        for issue, record in zip(issues, records(path), strict=True):
            fields, text = issue["fields"], page(record)
            stated = [
                fields["summary"],
                *(fields[part]["name"] for part in ("status", "issuetype", "priority", "project")),
            ]
            stated += [*fields["labels"], *(item["name"] for item in fields["components"])]
            assert all(value in text for value in stated)
            assert record.url.endswith(f"/browse/{issue['key']}")


@pytest.mark.needs_data
def test_the_fields_of_recorded_tickets_stand_in_their_pages(tickets: Path):
    path = tickets / "zendesk_tickets_page_recorded.json"
    for ticket, record in zip(json.loads(path.read_bytes())["tickets"], records(path), strict=True):
        text = page(record)
        stated = [ticket["subject"], ticket["description"], ticket["status"], *ticket["tags"]]
        assert all(str(value).split("\n")[0].strip() in text for value in stated)
        assert record.id == f"zendesk:zendeskapi.zd-staging.com/tickets/{ticket['id']}"


@pytest.mark.needs_data
def test_no_word_of_a_recorded_comment_is_lost(tickets: Path):
    comments = json.loads((tickets / "zendesk_ticket_comments_ASSEMBLED.json").read_bytes())["comments"]
    text = page(records(tickets / "zendesk_ticket_comments_ASSEMBLED.json")[0])
    assert all(comment["plain_body"].split("\n")[0].strip() in text for comment in comments)


def test_files_of_an_export_belong_together_and_the_newest_of_a_ticket_counts(tmp_path: Path):
    old = {"id": 7, "subject": "Old", "updated_at": "2026-01-01T00:00:00Z", "description": "Text"}
    new = {**old, "subject": "New", "updated_at": "2026-02-01T00:00:00Z"}
    (tmp_path / "a.json").write_text(json.dumps({"tickets": [new]}))
    (tmp_path / "b.jsonl").write_text(json.dumps({**old, "comments": [{"id": 1, "body": "One"}]}) + "\n")
    audits = [{"ticket_id": 7, "events": [{"type": "Comment", "id": 2, "body": "Two"}]}]
    (tmp_path / "c.json").write_text(json.dumps({"audits": audits}))
    (tmp_path / "d.json").write_text(json.dumps({"comments": [{"id": 2, "body": "Two"}]}))
    (found,) = [item for item in read_zendesk_export(tmp_path) if isinstance(item, Record)]
    assert found.title == "Ticket 7: New"
    assert [entry.id for entry in found.entries] == ["1", "2"]


def test_a_webhook_message_of_a_deletion_is_one(tmp_path: Path):
    issue = {"id": "1", "key": "A-1", "self": "https://e.org/rest/api/2/issue/1", "fields": {"summary": "S"}}
    path = tmp_path / "hook.json"
    path.write_text(json.dumps({"webhookEvent": "jira:issue_deleted", "issue": issue}))
    assert list(read_jira_export(path)) == [Record("jira:e.org/1", deleted=True)]


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ("{", "x.json: no JSON"),
        ("[" * 200_000, "nested too deeply"),
        ("5", "x.json is 5, not an object"),
        ('{"rows": []}', "an object with rows"),
        ('{"issues": [{"key": "A-1", "fields": {}}]}', "A-1: the field 'id' is None"),
        ('{"issues": [{"id": "1", "fields": 7}]}', "1: fields is 7, not an object"),
        ('{"comments": [{"id": 1, "author_id": 2, "body": "of Zendesk"}]}', "an object with comments"),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "no JSON"),
    ],
)
def test_what_is_no_export_is_a_failure_that_names_it(tmp_path: Path, content: str, detail: str):
    path = tmp_path / "x.json"
    path.write_text(content)
    (found,) = list(read_jira_export(path))
    assert isinstance(found, Outcome)
    assert found.problem is not None
    assert detail in found.problem.detail


def test_a_bad_line_does_not_stop_the_others(tmp_path: Path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": 1, "subject": "A"}\nno\n{"id": 2, "subject": "B"}\n')
    found = list(read_zendesk_export(path))
    assert [item.document_id for item in found if isinstance(item, Outcome)] == ["x.jsonl, line 2"]
    assert len(found) == 3


def test_an_empty_folder_is_an_error_that_says_what_belongs_there(tmp_path: Path):
    with pytest.raises(Misconfigured, match="holds no jira export"):
        list(read_jira_export(tmp_path))

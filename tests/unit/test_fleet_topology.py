"""The file that describes a fleet: what is refused and how it is said, and what a change means."""

from pathlib import Path

import pytest
import yaml
from fleets import FILE, FOLDER, cluster, topology, valid_topologies
from hypothesis import HealthCheck, given, settings
from typer.testing import CliRunner

from askfleet.fleet.difference import files_changed, said
from askfleet.fleet.reading import read_topology
from askfleet.fleet.rendering import render, stale, write
from askfleet.fleet.topology import Topology, TopologyError
from askfleet.main import application
from bus.keys import PublicKeys
from bus.sites import Help, Place, Site, configuration
from contracts.errors import Misconfigured

TEN_LINES = """
  eu-north:
    region: eu-north-1
    nats: nats.eu-north.example.org
    overlay: overlays/aws-karpenter
    data: eu
    gpus: {l40s: 16}
    roles:
      generation-default: {most: 16}
"""
SPILL = "  - {cluster: eu-north, to: [eu-west, eu-central]}\n"


def with_eu_north(text: str) -> str:
    head, tail = text.split("\n# Roles without a rule")
    return f"{head.rstrip()}{TEN_LINES}\n# Roles without a rule{tail}{SPILL}"


def test_what_lies_beside_the_topology_is_what_it_renders() -> None:
    files = render(read_topology(FILE), folder=FOLDER, out=FOLDER / "rendered")
    assert stale(files, FOLDER / "rendered") == (), "run `askfleet fleet render`"


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(valid_topologies())
def test_a_topology_renders_to_the_same_bytes_each_time(found: Topology) -> None:
    again = Topology.model_validate(found.model_dump())
    out = FOLDER / "rendered"
    assert render(found, folder=FOLDER, out=out) == render(again, folder=FOLDER, out=out)


@pytest.mark.parametrize(
    ("changes", "path", "value"),
    [
        ({"clusters": {}}, "clusters", "{}"),
        ({"revison": "v1"}, "topology", "'revison'"),
        ({"clusters": {"North": cluster("north")}}, "clusters.North", "'North'"),
        (
            {"clusters": {"north": cluster("north", gpus={"a100": 4})}, "spill": []},
            "clusters.north.gpus",
            "'a100'",
        ),
        (
            {"clusters": {"north": cluster("north"), "south": cluster("north")}},
            "clusters.south.nats",
            "'nats.north.example.org'",
        ),
        ({"roles": {"router": {"least": 9, "most": 2}}}, "clusters.north.roles.router.least", "9"),
        ({"roles": {"bridge": {"most": 2}}}, "clusters.north.roles.bridge", "'bridge'"),
        (
            {"gpus": {"l40s": {"product": "X"}}, "roles": {"generation-default": {"most": 4, "gpu": "l40s"}}},
            "clusters.north.gpus.l40s",
            "0",
        ),
        ({"placement": [{"roles": ["ops"], "clusters": ["nort"]}]}, "placement.0.clusters", "'nort'"),
        ({"spill": [{"cluster": "north", "to": ["north"]}]}, "spill.0.to", "'north'"),
        ({"spill": [{"cluster": "north", "to": ["west"]}]}, "spill.0.to", "'west'"),
        (
            {"spill": [{"cluster": "north", "to": ["south"], "roles": ["ingest"]}]},
            "spill.0.roles",
            "'ingest'",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_value(
    changes: dict[str, object], path: str, value: str
) -> None:
    with pytest.raises(TopologyError) as caught:
        topology(**changes)
    assert caught.value.path == path
    assert value in caught.value.detail
    assert caught.value.remedy


def test_a_neighbour_with_other_data_may_generate_but_not_search() -> None:
    clusters = {"north": cluster("north", data="a"), "south": cluster("south", data="b")}
    topology(clusters=clusters)
    with pytest.raises(TopologyError, match="has the data 'b'"):
        topology(clusters=clusters, spill=[{"cluster": "north", "to": ["south"], "roles": ["retrieval"]}])


def test_a_cluster_where_questions_would_not_end_is_refused() -> None:
    only_north = [{"roles": ["generation-default"], "clusters": ["north"]}]
    topology(placement=only_north, spill=[{"cluster": "south", "to": ["north"]}])
    with pytest.raises(TopologyError, match="would not end"):
        topology(placement=only_north, spill=[])


FIRST = {"roles": ["ops"], "clusters": ["north", "south"], "mode": "first"}
SMALL = """
name: harbour
repository: https://git.example.org/askfleet.git
revision: v1
clusters:
  north: {region: north-1, nats: nats.north.example.org}
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"clusters: [", r"line 1, column 12: 'clusters: \['"),
        (b"", "None is no fleet"),
        (b"north, south", "'north, south' is no fleet"),
        (b"- north", r"\['north'\] is no fleet"),
        (b"\x94\x00", "is not YAML"),
        (b"leaf_port: 1" + b"0" * 5000, "is not YAML"),
        (b"name: " + b"[" * 3000, "is nested too deeply"),
        (b'name: !!python/object/apply:os.system ["true"]', "line 1, column 7"),
        (SMALL.encode() + b"name: other\n", "line 7, column 1: 'name: other'.*a second time"),
        (SMALL.encode() + b"  north: {}\n", "line 7, column 3: '  north: {}'.*a second time"),
        (SMALL.replace("region", "regoin").encode(), "clusters.north: 'regoin' is no field.*`region`"),
        (SMALL.replace("revision: v1\n", "").encode(), "topology: 'revision' is missing"),
        (SMALL.replace("v1", "1.0").encode(), "revision: 1.0 .*Put it in quotes"),
        (SMALL.encode() + b"roles: {router: {most: 99999999999999999999}}", "roles.router.most: 9999"),
        (SMALL.encode() + b"gpus: &a {x: *a}", "gpus.x"),
    ],
)
def test_a_file_that_is_no_topology_is_refused_with_the_place_and_the_remedy(
    tmp_path: Path, text: bytes, said: str
) -> None:
    file = tmp_path / "topology.yaml"
    file.write_bytes(text)
    with pytest.raises(TopologyError, match=said) as refused:
        read_topology(file)
    assert len(refused.value.detail) < 500


def test_what_stands_in_several_clusters_may_be_written_once(tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    south = "  south: {<<: *north, nats: nats.south.example.org}\n"
    file.write_text(SMALL.replace("north: {", "north: &north {") + south)
    assert read_topology(file).clusters["south"].region == "north-1"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match="can't be read"):
        read_topology(tmp_path / "none.yaml")


def test_a_cluster_is_added_by_ten_lines(tmp_path: Path) -> None:
    lines = [*TEN_LINES.strip().splitlines(), *SPILL.strip().splitlines()]
    assert len(lines) <= 10
    text = with_eu_north(FILE.read_text())
    file = tmp_path / "topology.yaml"
    file.write_text(text)
    old, new = read_topology(FILE), read_topology(file)
    words = "\n".join(said(old, new))
    assert "cluster eu-north joins in eu-north-1, 16 l40s, data eu" in words
    assert (
        "generation-default of eu-north: what its workers leave waiting goes to eu-west, then eu-central"
        in words
    )
    changed = files_changed(old, new, folder=FOLDER)
    shown = (FOLDER.parents[1] / "docs" / "fleet.md").read_text()
    assert "\n".join((*said(old, new), *changed)) in shown
    assert "file clusters/eu-north/kustomization.yaml: new" in changed
    assert "file nats/eu-west.conf: changed; restart the NATS servers there, one by one" in changed
    assert not [line for line in changed if "us-east" in line], "a cluster that has nothing to do with it"


def test_a_change_of_limits_is_said_in_numbers() -> None:
    old = topology(roles={"router": {"least": 1, "most": 4}})
    new = topology(roles={"router": {"least": 1, "most": 8}})
    assert said(old, new) == (
        "router in north, 1 to 4 replicas -> 1 to 8 replicas",
        "router in south, 1 to 4 replicas -> 1 to 8 replicas",
    )
    assert said(old, old) == ("nothing changes",)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"gpus": {"l40s": {"product": "NEW"}}}, "fleet: l40s OLD -> NEW"),
        ({"folder": "elsewhere"}, "fleet: folder deploy/fleet/rendered -> elsewhere"),
        ({"placement": [FIRST | {"clusters": ["south", "north"]}]}, "ops: the first"),
        (
            {"placement": [FIRST | {"clusters": ["south"]}]},
            "ops starts in south, replicas as in the manifests",
        ),
        ({"placement": [FIRST | {"mode": "each"}]}, "ops: in the first"),
    ],
)
def test_a_change_of_files_is_never_said_to_be_none(changes: dict[str, object], line: str) -> None:
    before = {
        "gpus": {"l40s": {"product": "OLD"}},
        "roles": {"generation-default": {"gpu": "l40s"}},
        "placement": [FIRST],
    }
    old, new = topology(**before), topology(**(before | changes))
    assert any(found.startswith(line) for found in said(old, new)), said(old, new)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(valid_topologies(), valid_topologies())
def test_whatever_changes_files_is_said_in_words(old: Topology, new: Topology) -> None:
    if files_changed(old, new, folder=FOLDER):
        assert said(old, new) != ("nothing changes",)


def test_clusters_that_change_are_said_in_the_order_of_the_file() -> None:
    names = ["west", "north", "east", "south", "centre", "coast"]
    old = topology(clusters={name: cluster(name) for name in names}, spill=[])
    new = topology(clusters={name: cluster(name, data="b") for name in names}, spill=[])
    assert [line.split()[1] for line in said(old, new)] == [f"{name}:" for name in names]


def test_a_cluster_that_leaves_is_said_and_its_files_go(tmp_path: Path) -> None:
    both, one = topology(), topology(clusters={"north": cluster("north")}, spill=[])
    assert any(line.startswith("cluster south leaves") for line in said(both, one))
    for found in (both, one):
        write(render(found, folder=FOLDER, out=tmp_path), tmp_path)
    assert sorted(path.name for path in (tmp_path / "clusters").iterdir()) == ["north"]


@pytest.mark.parametrize(
    "file", ["notes.txt", "nats/nats-server.conf", "nats/eu-west.conf", "ocm/picture.png"]
)
def test_a_folder_with_files_that_were_not_rendered_stays_as_it_is(tmp_path: Path, file: str) -> None:
    foreign = tmp_path / "out" / file
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"mine \xff")
    again = CliRunner().invoke(
        application("fleet"), ["fleet", "render", "-f", str(FILE), "--out", str(tmp_path / "out")]
    )
    assert isinstance(again.exception, Misconfigured)
    assert f"{foreign} was not rendered" in again.exception.detail
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [foreign]


@pytest.mark.parametrize("command", [["render", "--out"], ["keys"]])
def test_a_place_that_is_no_folder_is_told(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("mine")
    ended = CliRunner().invoke(
        application("fleet"), ["fleet", command[0], "-f", str(FILE), *command[1:], str(tmp_path / "file")]
    )
    assert isinstance(ended.exception, Misconfigured)
    assert str(tmp_path / "file") in ended.exception.detail
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("was", "wrong", "said"),
    [
        ("overlays/luna", "overlays/lunar", "clusters.us-east.overlay: 'overlays/lunar'"),
        ("name: harbour", "name: harbour\nkeys: ../nats/none.yaml", "none.yaml can't be read"),
    ],
)
def test_check_and_render_refuse_a_topology_that_names_files_that_are_not_there(
    tmp_path: Path, was: str, wrong: str, said: str
) -> None:
    deploy = tmp_path / "deploy"
    (deploy / "fleet").mkdir(parents=True)
    for name in ("keda", "nats"):
        (deploy / name).symlink_to(FOLDER.parent / name)
    (deploy / "fleet" / "topology.yaml").write_text(FILE.read_text().replace(was, wrong))
    for command in ("check", "render"):
        ended = CliRunner().invoke(
            application("fleet"), ["fleet", command, "-f", str(deploy / "fleet" / "topology.yaml")]
        )
        assert isinstance(ended.exception, Misconfigured)
        assert said in ended.exception.detail
    assert not (deploy / "fleet" / "rendered").exists()


def test_render_with_check_writes_nothing_and_fails_when_something_is_stale(tmp_path: Path) -> None:
    app = application("fleet")
    rendered = ["fleet", "render", "-f", str(FILE), "--out", str(tmp_path / "out")]
    stale_run = CliRunner().invoke(app, [*rendered, "--check"])
    assert stale_run.exit_code == 1
    assert not (tmp_path / "out").exists()
    assert CliRunner().invoke(app, rendered).exit_code == 0
    assert CliRunner().invoke(app, [*rendered, "--check"]).exit_code == 0


def test_keys_and_seeds_of_links_are_named_and_never_written() -> None:
    text = (FOLDER / "rendered" / "nats" / "eu-west.conf").read_text()
    assert '"nkey": $LINK_TO_US_EAST' in text
    assert '"nkey": $GUEST_GENERATION_AT_US_EAST' in text
    assert '"nkey": $LINK_FROM_EU_CENTRAL' in text


def test_values_of_the_helm_chart_hold_the_links_of_the_configuration() -> None:
    values = yaml.safe_load((FOLDER / "rendered" / "nats" / "eu-west.values.yaml").read_text())["config"]
    assert values["jetstream"]["merge"]["domain"] == "eu-west"
    remotes = values["leafnodes"]["merge"]["remotes"]
    assert [(one["account"], one["nkey"]) for one in remotes] == [
        ("AT-eu-central", "<< $LINK_TO_EU_CENTRAL >>"),
        ("AT-us-east", "<< $LINK_TO_US_EAST >>"),
    ]
    keys = [one["nkey"] for one in values["merge"]["accounts"]["FLEET"]["users"]]
    assert keys[-2:] == ["<< $LINK_FROM_EU_CENTRAL >>", "<< $LINK_FROM_US_EAST >>"]


def test_a_link_lets_in_what_helping_workers_need_and_no_more() -> None:
    site = Site("north", PublicKeys(), helped_by={"south": ("generation",)})
    text = configuration(site, Place("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "/tmp/none"))
    assert "$JS.north.API.CONSUMER.MSG.NEXT.GENERATE.*" in text
    assert "$JS.north.API.CONSUMER.MSG.NEXT.ROUTE" not in text
    assert "STREAM.DELETE" not in text


def test_a_worker_asks_a_neighbour_as_it_asks_at_home() -> None:
    help_south = Help("south", ("nats-leaf://127.0.0.1:4",), ("generation",))
    text = configuration(
        Site("north", PublicKeys(), (help_south,)), Place("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "/x")
    )
    assert '"$JS.API.>": "$JS.south.API.>"' in text


def test_the_topology_shipped_is_what_the_documentation_shows() -> None:
    page = (FOLDER.parents[1] / "docs" / "fleet.md").read_text()
    assert TEN_LINES.strip("\n") in page
    assert SPILL.strip("\n") in page
    assert yaml.safe_load(FILE.read_text())["name"] in page

"""Settings document themselves, and the page of them is current."""

import pytest
from pydantic import ValidationError

from askfleet.reference import (
    PAGE,
    SECTIONS,
    SECURITY_PAGE,
    SERVER_CONFIGURATION,
    Section,
    page,
    security_page,
    server_configuration,
    variables,
)
from workers.generation.settings import GenerationSettings


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_every_setting_has_a_default_and_a_line_of_documentation(section: Section) -> None:
    for name, field in section.settings.model_fields.items():
        assert not field.is_required(), f"{name} has no default"
    for variable in variables(section):
        assert variable.meaning, f"{variable.name} has no description"
        assert "\n" not in variable.meaning


def test_settings_are_frozen() -> None:
    assert all(section.settings.model_config.get("frozen") for section in SECTIONS)


def test_the_page_of_settings_is_current() -> None:
    """Refresh with `python -m askfleet.reference`."""
    assert PAGE.read_text() == page()


def test_the_roles_on_the_page_on_security_are_current() -> None:
    assert SECURITY_PAGE.read_text() == security_page()


def test_the_configuration_of_nats_for_production_is_current() -> None:
    assert SERVER_CONFIGURATION.read_text() == server_configuration()


def test_a_worker_of_a_queue_whose_name_reads_as_an_adapter_is_refused_at_its_start() -> None:
    with pytest.raises(ValidationError, match=r"names the adapter 'b' of the queue 'a'.*AF_ENGINE_ADAPTERS"):
        GenerationSettings(model="a--b")
    assert GenerationSettings(model="a-b").model == "a-b"

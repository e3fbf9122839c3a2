"""What `askfleet simulate recommend --export` writes can be applied."""

from pathlib import Path

from askfleet.scaling import read_scaled_object
from askfleet.simulation.comparison import Grid
from askfleet.simulation.export import write_export
from tests.manifests.strict import Schemas, read

SHIPPED = Path(__file__).parents[2] / "deploy/keda/base/scaledobjects/generation-default.yaml"


def test_an_exported_scaled_object_is_valid(schemas: Schemas, tmp_path: Path) -> None:
    grid = Grid((56.0, 96.0), (0, 3), (0,), (300, 900))
    for number, policy in enumerate(grid.policies(read_scaled_object(SHIPPED))):
        assert policy.scaled_object is not None
        path = tmp_path / f"{number}.yaml"
        write_export(path, SHIPPED, policy.scaled_object, slots=64)
        (manifest,) = read(path)
        assert schemas.problems(manifest) == []
        target = manifest["spec"]["advanced"]["scalingModifiers"]["target"]
        queue = int(manifest["metadata"]["annotations"]["askfleet.dev/queue-per-pod"])
        assert int(target) == 64 + queue

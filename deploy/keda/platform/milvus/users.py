"""Gives Milvus' root a password of its own and makes the workers' user, who may not make users or databases.

MILVUS_ROOT_PASSWORD=... MILVUS_PASSWORD=... python deploy/keda/platform/milvus/users.py http://localhost:19530
"""

import os
import sys

from pymilvus import MilvusClient

WORKER = "askfleet"
PRIVILEGES = ("DatabaseAdmin", "CollectionReadWrite")
"""Milvus' own groups: the first may create a collection, the second writes, searches and loads it."""


def main() -> None:
    (address,) = sys.argv[1:]
    root_password, password = os.environ["MILVUS_ROOT_PASSWORD"], os.environ["MILVUS_PASSWORD"]
    MilvusClient(uri=address, token="root:Milvus").update_password("root", "Milvus", root_password)  # noqa: S106 (the known first password)
    root = MilvusClient(uri=address, token=f"root:{root_password}")
    root.create_user(WORKER, password)
    root.create_role(WORKER)
    for privilege in PRIVILEGES:
        root.grant_privilege_v2(WORKER, privilege, "*", db_name="default")
    root.grant_role(WORKER, WORKER)


if __name__ == "__main__":
    main()

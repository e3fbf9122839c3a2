#!/usr/bin/env bash
# Prints the Secrets that the manifests refer to, for `kubectl apply -f -`. Nothing is kept and nothing is sent.
#   SQL_DSN=... MILVUS_TOKEN=... OPS_KEY_SHA256=... READER_PASSWORD=... deploy/keda/secrets.sh keys/ tls/ tenants.yaml
# keys/ is what `python -m bus.server keys` made, tls/ what certificates.sh made.
set -euo pipefail
keys=${1:?the folder of keys} tls=${2:?the folder of certificates} tenants=${3:?the tenants file}
: "${SQL_DSN:?how the workers reach the database, as askfleet_reader}"
: "${MILVUS_TOKEN:?user:password of the workers at Milvus}"
: "${OPS_KEY_SHA256:?SHA-256 of the operators key, hex}"
: "${READER_PASSWORD:?the password of askfleet_reader, as in SQL_DSN}"

secret() { # namespace, name, options
  echo "---"
  kubectl create secret generic "$2" --namespace "$1" --dry-run=client --output yaml "${@:3}"
}

for role in router retrieval sql generation ingest bridge ops monitor provision; do
  secret askfleet "nats-$role" --from-file="$role.nk=$keys/$role.nk"
done
secret askfleet nats-client-tls --type kubernetes.io/tls \
  --from-file=ca.crt="$tls/ca.crt" --from-file=tls.crt="$tls/client.crt" --from-file=tls.key="$tls/client.key"
secret askfleet tenants --from-file=tenants.yaml="$tenants"
# Through a pipe: on a command line they would stand in the list of processes.
secret askfleet sql-reader --from-file=uri=<(printf %s "$SQL_DSN")
secret askfleet milvus-worker --from-file=token=<(printf %s "$MILVUS_TOKEN")
secret askfleet ops --from-file=key-sha256=<(printf %s "$OPS_KEY_SHA256")
secret nats nats-server-tls --type kubernetes.io/tls \
  --from-file=ca.crt="$tls/ca.crt" --from-file=tls.crt="$tls/server.crt" --from-file=tls.key="$tls/server.key"
secret postgres reader-password --type kubernetes.io/basic-auth \
  --from-file=username=<(printf %s askfleet_reader) --from-file=password=<(printf %s "$READER_PASSWORD")

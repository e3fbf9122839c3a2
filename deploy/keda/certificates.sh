#!/usr/bin/env bash
# Makes a certificate authority of your own, a certificate for the NATS servers and one for the workers.
#   deploy/keda/certificates.sh tls/
# What is there is kept: delete a certificate to have it made again. Keep ca.key away from the cluster.
set -euo pipefail
folder=${1:?a folder for the certificates}
days=${DAYS:-365}
umask 077
mkdir -p "$folder"
cd "$folder"

if [ ! -f ca.crt ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=askfleet NATS" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout ca.key -out ca.crt
fi

issue() { # name, extended key usage, subject alternative names
  [ -f "$1.crt" ] && return
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=askfleet $1" -keyout "$1.key" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" -out "$1.crt" \
    -extfile <(printf 'extendedKeyUsage=%s\nkeyUsage=critical,digitalSignature\nsubjectAltName=%s\n' "$2" "$3")
  rm "$1.csr"
}

# Servers are clients of each other, so theirs serves both ends.
issue server serverAuth,clientAuth \
  "DNS:nats.nats.svc.cluster.local,DNS:nats-headless.nats.svc.cluster.local,DNS:*.nats-headless.nats.svc.cluster.local,DNS:*.nats-headless"
issue client clientAuth DNS:workers.askfleet

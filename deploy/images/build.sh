#!/usr/bin/env bash
# Builds the images: deploy/images/build.sh [worker] [bulk] [generation-gpu]; without a name, all three.
#   REGISTRY=registry.example.org/team   put before the names; without it they stay on this machine
#   TAG=0.1.0                            default: the version in pyproject.toml
#   PUSH=1                               push what was built
#   ENGINE=podman                        docker, podman or nerdctl; default: the first that answers
# PYTHON_IMAGE, GPU_PYTHON_IMAGE and VLLM_IMAGE replace a base, as with one pinned by its digest.
set -euo pipefail
cd "$(dirname "$0")/../.."

declare -A IMAGES=([worker]=askfleet-worker [bulk]=askfleet-bulk [generation-gpu]=askfleet-generation-gpu)
targets=("$@")
[[ ${#targets[@]} -gt 0 ]] || targets=(worker bulk generation-gpu)
for target in "${targets[@]}"; do
  [[ -n ${IMAGES[$target]:-} ]] || { echo "error: no image $target; there are worker, bulk, generation-gpu" >&2; exit 2; }
done

tag=${TAG:-$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)}
prefix=${REGISTRY:+${REGISTRY%/}/}
if [[ ${PUSH:-} == 1 && -z $prefix ]]; then
  echo "error: PUSH=1 needs REGISTRY, the place to push to" >&2
  exit 2
fi

engine=
for candidate in ${ENGINE:-docker podman nerdctl}; do
  # A client alone builds nothing: the daemon has to answer.
  if command -v "$candidate" > /dev/null && "$candidate" info > /dev/null 2>&1; then
    engine=$candidate
    break
  fi
done
if [[ -z $engine ]]; then
  echo "error: no container engine answers here (tried: ${ENGINE:-docker podman nerdctl}); nothing was built" >&2
  echo "remedy: start one, or run this where one is; ENGINE names another program with docker's commands" >&2
  exit 3
fi

arguments=()
for name in PYTHON_IMAGE GPU_PYTHON_IMAGE VLLM_IMAGE; do
  [[ -z ${!name:-} ]] || arguments+=(--build-arg "$name=${!name}")
done
for target in "${targets[@]}"; do
  image=$prefix${IMAGES[$target]}:$tag
  echo "building $image with $engine"
  DOCKER_BUILDKIT=1 "$engine" build --file deploy/images/Dockerfile --target "$target" --tag "$image" \
    --label "org.opencontainers.image.version=$tag" "${arguments[@]}" .
  [[ ${PUSH:-} != 1 ]] || "$engine" push "$image"
done

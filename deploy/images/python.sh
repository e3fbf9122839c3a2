#!/bin/sh
# vLLM's image has a python3 of its own, wherever that lies, and not always a `python`.
exec python3 "$@"

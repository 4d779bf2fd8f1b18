#!/usr/bin/env bash
# What test_tracker.py needs: Chromium with its driver from Debian, if they are missing,
# and the tracker from npm, checked against the hash in package-lock.json.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
for need in chromium:chromium chromedriver:chromium-driver npm:npm; do
    command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
done
if ((${#missing[@]})); then
    if ((EUID != 0)); then
        echo "Install these first: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq --no-install-recommends "${missing[@]}"
fi

if ! [ node_modules/.package-lock.json -nt package-lock.json ]; then
    npm ci --ignore-scripts --no-audit --no-fund --silent
fi

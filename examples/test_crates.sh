#!/usr/bin/env bash
# Tests this workspace's crates, each rank some of them:
#
#     lastline run -n 4 -- examples/test_crates.sh
#
# Rank r of n takes crates r, r + n, r + 2n, … of the list. `CRATES` may hold another list.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

read -ra crates <<<"${CRATES:-lastline-line lastline-tee lastline-sender lastline-appender}"
for ((at = RANK; at < ${#crates[@]}; at += WORLD_SIZE)); do
    cargo test --locked -p "${crates[at]}"
done

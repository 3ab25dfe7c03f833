#!/bin/sh
# Refreshes data/ and src/vendored.rs from a checkout (or bare clone) of nats-io/jsm.go:
#   ./refresh.sh CHECKOUT [COMMIT]
# COMMIT is HEAD when left out. Afterwards: cargo test -p schemas.
set -eu

[ $# -ge 1 ] || { echo "usage: $0 CHECKOUT [COMMIT]: a checkout of github.com/nats-io/jsm.go" >&2; exit 2; }
checkout=$(cd "$1" && pwd)
commit=$(git -C "$checkout" rev-parse --verify "${2:-HEAD}^{commit}")
date=$(TZ=UTC0 git -C "$checkout" show --no-patch --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd "$commit")
cd "$(dirname "$0")"

new=$(mktemp -d ./data.XXXXXX)
trap 'rm -rf "$new"' EXIT
git -C "$checkout" archive "$commit" schemas LICENSE | tar -x -C "$new"
# Go's way to embed them.
rm -f "$new/schemas/schemas.go"
mv "$new/LICENSE" "$new/schemas/LICENSE"
cat >"$new/schemas/SOURCE" <<END
The JSON files in this folder are those of \`schemas/\` in https://github.com/nats-io/jsm.go,
unchanged, under the Apache License 2.0 (LICENSE). Copyright The NATS Authors.

commit $commit
date   $date
END
chmod 755 "$new/schemas"
rm -rf data
mv "$new/schemas" data

{
  cat <<END
//! What \`refresh.sh\` found in \`data/\`; written by it, not by hand.

/// The commit of nats-io/jsm.go that \`data/\` is from.
pub const COMMIT: &str = "$commit";

/// When that commit was made, in UTC.
pub const DATE: &str = "$date";

/// \`server/errors.json\`.
pub(crate) const ERRORS: &str = include_str!("../data/server/errors.json");

/// Each title with its schema, in the order of the titles. The title is the path: see the test.
#[rustfmt::skip]
pub(crate) const SCHEMAS: &[(&str, &str)] = &[
END
  (cd data && find . -name '*.json' ! -path ./server/errors.json) | sed 's|^\./||; s|\.json$||' | tr / . | LC_ALL=C sort |
    while read -r title; do
      printf '    ("io.nats.%s", include_str!("../data/%s.json")),\n' "$title" "$(echo "$title" | tr . /)"
    done
  echo '];'
} >src/vendored.rs
echo "jsm.go $commit of $date: $(grep -c 'io\.nats\.' src/vendored.rs) schemas"

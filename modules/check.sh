# Checks a folder with node.toml, fleet.toml and perhaps jwts/ as the node will read them:
# check.sh FOLDER, with leafbox, nats-server and openssl on PATH.
#
# A build has no credentials, no TLS files and no data directory, so that throw-away ones stand in.
set -euo pipefail
folder=$1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Of the environment only what is said here counts, and none of a developer's own overrides.
for variable in "${!LEAFBOX_@}"; do unset "$variable"; done

leafbox --config "$folder/node.toml" check || {
  echo "services.leafbox.settings is node.toml and services.leafbox.fleet is fleet.toml: correct them there" >&2
  exit 1
}
[ -d "$folder/jwts" ] || exit 0

export LEAFBOX_DATA=$scratch/data CREDENTIALS_DIRECTORY=$scratch/credentials
mkdir -m 700 "$LEAFBOX_DATA" "$CREDENTIALS_DIRECTORY"
for jwt in "$folder"/jwts/*.jwt; do
  : >"$CREDENTIALS_DIRECTORY/leaf-$(basename "$jwt" .jwt).creds"
done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 \
  -subj /CN=leafbox-check -keyout "$scratch/key.pem" -out "$scratch/cert.pem" 2>"$scratch/openssl.log" || {
  cat "$scratch/openssl.log" >&2
  exit 1
}

leafbox --config "$folder/node.toml" render |
  sed -E "s#^( *(cert_file|ca_file)): .*#\1: \"$scratch/cert.pem\"#; s#^( *key_file): .*#\1: \"$scratch/key.pem\"#" \
    >"$scratch/nats-server.conf"
LEAFBOX_JETSTREAM_KEY='"only for this check"' nats-server -t -c "$scratch/nats-server.conf"

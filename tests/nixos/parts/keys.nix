# Keys for the machines of a test, made as an operator makes them. They lie in the Nix store, where
# everybody can read them: they are for machines that live as long as a test.
{
  pkgs,
  leafbox,
  nats-server,
  # A fleet file, one of whose leaves the operator's own machine takes the name of.
  fleet,
  operator,
  # The nodes to make keys for, by name: "leaf" or "hub".
  nodes,
}:
let
  inherit (pkgs) lib;
  node =
    name: role:
    (pkgs.formats.toml { }).generate "${name}.toml" {
      inherit name role;
      fleet = "${fleet}";
    };
in
pkgs.runCommand "leafbox-test-keys"
  {
    nativeBuildInputs = [
      leafbox
      nats-server
      pkgs.openssl
    ];
  }
  ''
    export HOME=$PWD
    as_operator() { leafbox --config ${node operator "leaf"} --data "$PWD/operator" "$@"; }
    # This makes the operator and all accounts.
    as_operator dev --once --any-port
    ${lib.concatStrings (
      lib.mapAttrsToList (name: role: ''
        leafbox --config ${node name role} --data "$PWD/${name}" enroll request
        as_operator enroll approve --yes ${name}/keys/request --output ${name}.answer
      '') nodes
    )}
    mkdir "$out"
    as_operator apply --export "$out/jwts"
    ${lib.concatStrings (
      lib.mapAttrsToList (name: role: ''
        leafbox --config ${node name role} --data "$PWD/${name}" enroll accept ${name}.answer
        mkdir "$out/${name}"
        cp ${name}/keys/jetstream.key ${name}/keys/*.creds "$out/${name}/"
      '') nodes
    )}
    cp -r operator/keys/services "$out/services"

    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
      -subj /CN=leafbox-test -addext "subjectAltName=${
        lib.concatMapStringsSep "," (name: "DNS:${name}") (builtins.attrNames nodes)
      }" -keyout "$out/hub.key" -out "$out/hub.crt"
  ''

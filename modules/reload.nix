# Which change of the two files nats-server takes over with a reload, and which only with a restart:
# the one list of it, after nats-server's own in server/reload.go (diffOptions,
# getLeafNodeOptionsChanges, validateClusterOpts; 2.15). A key that is not listed here reloads. What
# slips through is refused by `leafbox unit nats-reload`, which compares the configurations.
{
  lib,
  role,
  settings,
  fleet,
  jwts,
}:
let
  keys = [
    [ "name" ] # server_name, and the domain
    [ "role" ]
    [ "data" ] # store_dir
    # Listeners: a host or port is bound once.
    [
      "nats"
      "client"
    ]
    [
      "nats"
      "monitoring"
    ]
    [
      "nats"
      "leaf"
    ]
    [
      "nats"
      "leaf_advertise"
    ]
    [
      "nats"
      "route"
    ]
    # These two blocks take no change at all.
    [
      "nats"
      "websocket"
    ]
    [
      "nats"
      "websocket_origins"
    ]
    [
      "nats"
      "mqtt"
    ]
    # Of TLS, a listener takes other files, but none where it had some, and no other fences; to
    # websocket and MQTT it happens in silence that they take nothing.
    [
      "nats"
      "tls"
    ]
    # Larger limits would reload, smaller ones not, and the budget of the disk is neither.
    [ "jetstream" ]
    [
      "cluster"
      "name"
    ]
  ];

  # A leaf's links refuse the subjects that its stores capture, and deny lists are fixed.
  captured = lib.mapAttrs (
    _: account:
    lib.genAttrs [ "streams" "kv" "objects" ] (
      kind:
      lib.mapAttrs (_: store: {
        subjects = store.subjects or null;
        travel = store.travel or null;
      }) (account.${kind} or { })
    )
  ) (fleet.accounts or { });
  links = role == "leaf" && lib.attrByPath [ "uplink" "urls" ] [ ] settings != [ ];
in
{
  settings = map (path: lib.attrByPath path null settings) keys;
  captured = if links then captured else null;
  # Whether there is a cluster.
  hubs = if role == "hub" then fleet.nodes.hub or null else null;
  routes = lib.attrByPath [ "cluster" "routes" ] [ ] settings != [ ];
  # Accounts come and go; the operator is for good. What is built only later cannot be looked into.
  operator =
    if builtins.isPath jwts && builtins.pathExists (jwts + "/operator.jwt") then
      builtins.hashFile "sha256" (jwts + "/operator.jwt")
    else
      null;
}

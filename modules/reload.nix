# Which change of the two files nats-server takes over with a reload, and which only with a restart:
# the one list of it, after nats-server's own in server/reload.go (diffOptions,
# getLeafNodeOptionsChanges, validateClusterOpts; 2.15). A key that is not listed here reloads.
{
  lib,
  role,
  settings,
  fleet,
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
    # With it comes another time-out for logins, which is fixed.
    [
      "nats"
      "tls"
      "leaf"
    ]
    [
      "nats"
      "route"
    ]
    # These two blocks take no change at all; of their TLS, one would pass in silence.
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
      "tls"
      "websocket"
    ]
    [
      "nats"
      "mqtt"
    ]
    [
      "nats"
      "tls"
      "mqtt"
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
}

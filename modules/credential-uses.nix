# Which units need the credential of a name: a function from the name to a list of units, empty for
# a name that nothing reads.
{
  lib,
  settings,
  fleet,
}:
let
  daemons = [
    "apply"
    "uplink"
    "health"
    "registry"
    "sse-bridge"
  ];
  listeners = builtins.attrValues (settings.nats.tls or { });
  uplink = settings.uplink or { };
  served = tls: [
    (tls.cert or null)
    (tls.key or null)
  ];
  named = key: map (tls: tls.${key} or null) listeners;
  # Public, and what the daemons check or show when they connect.
  forAll = lib.concatMap named [
    "cert"
    "ca"
    "own_cert"
    "own_key"
  ];
  forNats = named "key" ++ [
    (uplink.ca or null)
    (uplink.cert or null)
    (uplink.key or null)
  ];
  forRegistry =
    served (settings.registry.tls or { })
    ++ map (upstream: upstream.credentials or null) (fleet.registry.upstreams or [ ]);
  forConsole = served (settings.console.tls or { });
  is = pattern: name: builtins.match pattern name != null;
in
name:
lib.unique (
  lib.optionals (builtins.elem name forAll) ([ "nats" ] ++ daemons)
  ++ lib.optional (
    builtins.elem name forNats || name == "jetstream.key" || is "leaf-.+\\.creds" name
  ) "nats"
  ++ lib.optional (builtins.elem name forRegistry || name == "registry.creds") "registry"
  ++ lib.optional (builtins.elem name forConsole || is "console-.+\\.creds" name) "sse-bridge"
  ++ lib.optionals (is "apply-.+\\.creds" name) [
    "apply"
    "uplink"
  ]
  ++ lib.optional (name == "sys.creds") "apply"
  ++ lib.optional (name == "health.creds") "health"
)

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
  ];
  listeners = builtins.attrValues (settings.nats.tls or { });
  uplink = settings.uplink or { };
  tls = settings.registry.tls or { };
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
  forRegistry = [
    (tls.cert or null)
    (tls.key or null)
  ]
  ++ map (upstream: upstream.credentials or null) (fleet.registry.upstreams or [ ]);
  is = pattern: name: builtins.match pattern name != null;
in
name:
lib.unique (
  lib.optionals (builtins.elem name forAll) ([ "nats" ] ++ daemons)
  ++ lib.optional (
    builtins.elem name forNats || name == "jetstream.key" || is "leaf-.+\\.creds" name
  ) "nats"
  ++ lib.optional (builtins.elem name forRegistry || name == "registry.creds") "registry"
  ++ lib.optionals (is "apply-.+\\.creds" name) [
    "apply"
    "uplink"
  ]
  ++ lib.optional (name == "sys.creds") "apply"
  ++ lib.optional (name == "health.creds") "health"
)

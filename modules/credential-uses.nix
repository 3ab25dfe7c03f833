# Which units need the credential of a name: a function from the name to a list of units, empty for
# a name that nothing reads.
{ lib, settings }:
let
  daemons = [
    "apply"
    "uplink"
    "health"
  ];
  everywhere = [ "nats" ] ++ daemons;
  listeners = builtins.attrValues (settings.nats.tls or { });
  uplink = settings.uplink or { };
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
in
name:
if builtins.elem name forAll then
  everywhere
else if builtins.elem name forNats || name == "jetstream.key" then
  [ "nats" ]
else if builtins.match "leaf-.+\\.creds" name != null then
  [ "nats" ]
else if builtins.match "apply-.+\\.creds" name != null then
  [
    "apply"
    "uplink"
  ]
else if name == "sys.creds" then
  [ "apply" ]
else if name == "health.creds" then
  [ "health" ]
else
  [ ]

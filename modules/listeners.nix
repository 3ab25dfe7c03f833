# The listeners that node.toml declares, as far as Nix needs to know them. One that is left out has
# leafbox's default, which is on loopback.
{ lib, settings }:
let
  parse =
    address:
    let
      parts = builtins.match "(.*):([0-9]+)" address;
    in
    # What is no address is for `leafbox check` to explain.
    lib.optional (builtins.isString address && parts != null) rec {
      host = builtins.elemAt parts 0;
      port = lib.toInt (builtins.elemAt parts 1);
      loopback = lib.hasPrefix "127." host || host == "[::1]";
      wildcard = host == "0.0.0.0" || host == "[::]";
    };
  declared = path: parse (lib.attrByPath path "" settings);
in
rec {
  # The one that leafbox's own daemons connect to.
  client = declared [
    "nats"
    "client"
  ];
  health = declared [
    "health"
    "listen"
  ];
  registry = declared [
    "registry"
    "listen"
  ];
  console = declared [
    "console"
    "listen"
  ];
  nats =
    client
    ++
      lib.concatMap
        (
          name:
          declared [
            "nats"
            name
          ]
        )
        [
          "websocket"
          "mqtt"
          "leaf"
          "route"
        ];
  all = nats ++ health ++ registry ++ console;
  runsHealth = lib.attrByPath [ "health" "listen" ] "" settings != "off";
  runsRegistry = lib.attrByPath [ "registry" "listen" ] "" settings != "off";
  runsConsole = lib.attrByPath [ "console" "listen" ] "" settings != "off";
}

# Declarations that must fail, each with words that its message must have, and the twin that passes.
{ lib, evaluate }:
let
  fleet = lib.importTOML ../../examples/shop/fleet.toml;
  good = {
    enable = true;
    settings.name = "shop-1";
    inherit fleet;
    enroll.enable = true;
  };
  judge =
    declared:
    let
      inherit
        (evaluate [
          ../../modules/default.nix
          { services.leafbox = declared; }
        ])
        config
        ;
      broken = map (each: each.message) (builtins.filter (each: !each.assertion) config.assertions);
      # Every option is looked at, for the types.
      text = builtins.toJSON { inherit (config.services.leafbox) settings fleet role; };
    in
    if broken == [ ] then builtins.seq text "accepted" else throw (lib.concatStringsSep "\n" broken);
  rows = {
    no-fleet = {
      declared = good // {
        fleet = { };
      };
      words = "services.leafbox.fleet = lib.importTOML ./fleet.toml";
    };
    unknown-role = {
      declared = good // {
        role = "spoke";
      };
      words = ''one of "leaf", "hub"'';
    };
    unknown-option = {
      declared = good // {
        fleets = fleet;
      };
      words = "services.leafbox.fleets";
    };
    credential-in-the-store = {
      declared = good // {
        credentials."jetstream.key" = "${builtins.storeDir}/00000000000000000000000000000000-jetstream.key";
      };
      words = "jetstream.key would be in the Nix store";
    };
    credential-as-a-path-literal = {
      declared = good // {
        credentials."jetstream.key" = ./nodes/leaf.nix;
      };
      words = "/run/secrets/NAME";
    };
    credential-that-nothing-reads = {
      declared = good // {
        credentials."leafSHOP.creds" = "/run/secrets/leafSHOP.creds";
      };
      words = "nothing reads leafSHOP.creds";
    };
    no-credentials-and-no-enrolment = {
      declared = good // {
        jwts = ../../daemons/nats-conf/tests/fixtures;
        enroll.enable = false;
      };
      words = "lacks jetstream.key and health.creds and registry.creds and console-LEAFBOX.creds";
    };
    no-jwts-and-no-enrolment = {
      declared = good // {
        enroll.enable = false;
        credentials = {
          "jetstream.key" = "/run/secrets/jetstream.key";
          "health.creds" = "/run/secrets/health.creds";
          "registry.creds" = "/run/secrets/registry.creds";
          "console-LEAFBOX.creds" = "/run/secrets/console-LEAFBOX.creds";
        };
      };
      words = "services.leafbox.jwts = ./jwts";
    };
    key-file-as-a-path-literal = {
      declared = good // {
        settings = good.settings // {
          nats.tls.client = {
            cert = "a.crt";
            key = ./nodes/leaf.nix;
          };
        };
      };
      words = "services.leafbox.settings.nats.tls.client.key names a file of the Nix store";
    };
    key-file-in-the-store = {
      declared = good // {
        settings = good.settings // {
          uplink.key = "${builtins.storeDir}/00000000000000000000000000000000-uplink.key";
        };
      };
      words = "services.leafbox.settings.uplink.key names a file of the Nix store";
    };
    another-folder-as-the-jwts = {
      declared = good // {
        jwts = ./nodes;
      };
      words = "services.leafbox.jwts holds hub.nix, leaf.nix";
    };
    seed-in-settings = {
      declared = good // {
        settings = good.settings // {
          # An nkey's form, and nobody's.
          region = "SU" + lib.concatStrings (lib.replicate 56 "A");
        };
      };
      words = "services.leafbox.settings.region looks like a secret";
    };
    password-in-an-uplink = {
      declared = good // {
        settings = good.settings // {
          uplink.urls = [ "tls://shop:secret@hub.example.net:7422" ];
        };
      };
      words = "services.leafbox.settings.uplink.urls[0] looks like a secret";
    };
  };
in
{
  accepted = judge good;
  refused = lib.mapAttrs (_: row: judge row.declared) rows;
  words = lib.mapAttrs (_: row: row.words) rows;
}

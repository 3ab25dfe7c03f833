# What can be declared. Nix types a key of the two files only where Nix itself needs its value;
# leafbox checks all of them when the system is built.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  toml = pkgs.formats.toml { };
in
{
  options.services.leafbox = {
    enable = lib.mkEnableOption "leafbox, a NATS node that keeps working when the network does not";

    package = lib.mkPackageOption pkgs "leafbox" { };

    natsServer = lib.mkPackageOption pkgs "nats-server" {
      extraDescription = "leafbox needs 2.15 or newer, and refuses an older one at the start.";
    };

    role = lib.mkOption {
      type = lib.types.enum [
        "leaf"
        "hub"
      ];
      default = "leaf";
      description = ''
        What this node is: `leaf`, at the edge, with stores of its own, or `hub`, a member of the
        cluster that leaves join. The modules `leaf` and `hub` of the flake set it.
      '';
    };

    settings = lib.mkOption {
      description = ''
        This machine: what goes into node.toml. `leafbox check --schema` lists every key with its
        default; a wrong one fails the build of the system with leafbox's own message (a system that is
        cross-compiled cannot run it: there the units refuse it at their start). Secrets are never
        here: see {option}`services.leafbox.credentials`.

        The web console runs unless `console.listen` is `"off"`. For browsers elsewhere it takes an
        address that they reach, `console.origin` and `console.tls`.

        A listener on a port below 1024 gives its daemon one capability and takes its user namespace,
        and exposes the unit 0.4 more. Where that is too much, listen above and let the firewall
        redirect.
      '';
      default = { };
      example = lib.literalExpression ''
        {
          region = "ams";
          jetstream.max_storage = "8GiB";
          uplink.urls = [ "tls://hub.example.net:7422" ];
        }
      '';
      type = lib.types.submodule {
        freeformType = toml.type;
        options = {
          name = lib.mkOption {
            type = lib.types.str;
            default = config.networking.hostName;
            defaultText = lib.literalExpression "config.networking.hostName";
            description = ''
              The node's name, as the fleet lists it: the server name, and for a leaf the JetStream
              domain. Never change it, since stores are tied to it.
            '';
          };
          data = lib.mkOption {
            type = lib.types.path;
            default = "/var/lib/leafbox";
            description = ''
              The folder that holds all state. A disk of its own is mounted there, or elsewhere and
              named here.
            '';
          };
        };
      };
    };

    fleet = lib.mkOption {
      type = toml.type;
      default = { };
      example = lib.literalExpression "lib.importTOML ./fleet.toml";
      description = ''
        The whole fleet: accounts, services and stores, the same on every node. What goes into
        fleet.toml.
      '';
    };

    jwts = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      example = lib.literalExpression "./jwts";
      description = ''
        The folder of signed account JWTs that `leafbox apply --export` wrote. They are public, and go
        into the Nix store, so that the node boots with them while it is offline. With it the build
        also checks the nats-server configuration.
      '';
    };

    credentials = lib.mkOption {
      description = ''
        Secret files by the name that leafbox knows them by: `jetstream.key`, `health.creds`,
        `registry.creds`, `leaf-<ACCOUNT>.creds`, `apply-<ACCOUNT>.creds`, `console-<ACCOUNT>.creds`
        for each account that the web console shows, `SYS` for the servers, on a hub `sys.creds`, the
        certificates and keys that {option}`services.leafbox.settings` names for TLS, and the logins
        that {option}`services.leafbox.fleet` names for upstream registries. The value is where the
        file is on the running machine, outside the Nix store. Each unit gets only those that it needs;
        a unit whose file is missing does not start.

        A unit reads its files when it starts, and not at a reload. What changes a file restarts
        leafbox-nats.service, leafbox-health.service for `health.creds` and certificates,
        leafbox-registry.service for `registry.creds`, certificates and logins, and
        leafbox-sse-bridge.service for `console-<ACCOUNT>.creds` and certificates; leafbox-apply and
        leafbox-uplink go with leafbox-nats.
      '';
      default = { };
      example = lib.literalExpression ''
        {
          "jetstream.key" = "/run/secrets/jetstream.key";
          "leaf-SHOP.creds" = {
            path = "/etc/credstore.encrypted/leaf-SHOP.creds";
            encrypted = true;
          };
        }
      '';
      type = lib.types.attrsOf (
        lib.types.coercedTo lib.types.path (path: { inherit path; }) (
          lib.types.submodule {
            options = {
              path = lib.mkOption {
                type = lib.types.path;
                description = "Where the file is when the unit starts.";
              };
              encrypted = lib.mkOption {
                type = lib.types.bool;
                default = false;
                description = "Whether `systemd-creds encrypt` wrote it, under the same name.";
              };
            };
          }
        )
      );
    };

    enroll = {
      enable = lib.mkEnableOption ''
        enrolment: at its first boot the machine makes its keys and prints a request on the console;
        everything else starts once `leafbox enroll accept` was given the operator's answer'';

      encrypt = lib.mkOption {
        type = lib.types.bool;
        default = true;
        description = ''
          Whether the keys in /var/lib/leafbox-keys are encrypted by `systemd-creds`, with the TPM
          where there is one. Without a TPM the key is on the same disk, and a thief who takes the
          disk can read them. A root that forgets must keep /var/lib/systemd and /etc/machine-id too.
        '';
      };
    };

    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = ''
        Whether to open the ports of those listeners that {option}`services.leafbox.settings` moves
        away from loopback.
      '';
    };
  };
}

# The units: nats-server directly under systemd, then what converges it, watches its uplink and
# tells its health. Nothing waits for the network beyond this machine.
{
  config,
  lib,
  ...
}:
let
  cfg = config.services.leafbox;
  hardening = import ./hardening.nix;
  listeners = import ./listeners.nix {
    inherit lib;
    inherit (cfg) settings;
  };
  leafbox = "${cfg.package}/bin/leafbox";
  isHub = cfg.role == "hub";

  inherit (cfg.settings) data;
  underVarLib = lib.hasPrefix "/var/lib/" data;
  state =
    if underVarLib then
      {
        StateDirectory = lib.removePrefix "/var/lib/" data;
        StateDirectoryMode = "0750";
      }
    else
      { ReadWritePaths = [ data ]; };

  # The daemons reach nats-server over loopback unless it listens on another address alone.
  clientOnLoopback = lib.all (listener: listener.loopback || listener.wildcard) listeners.client;
  healthOnLoopback = lib.all (listener: listener.loopback) listeners.health;
  natsOnLoopback =
    lib.all (listener: listener.loopback) listeners.nats
    && lib.attrByPath [ "uplink" "urls" ] [ ] cfg.settings == [ ]
    && lib.attrByPath [ "cluster" "routes" ] [ ] cfg.settings == [ ];
  # A websocket on 443: it costs 0.3 of exposure.
  privilegedPort = lib.any (listener: listener.port > 0 && listener.port < 1024) listeners.nats;

  unit = {
    # The target cannot say this for its services: systemd queues what it wants before it looks.
    ConditionPathExists = lib.mkIf cfg.enroll.enable "/var/lib/leafbox-keys/enrolled";
    RequiresMountsFor = data;
    # Tried for ever, with the back-off of the service.
    StartLimitIntervalSec = 0;
  };

  service =
    hardening.daemon
    // state
    // {
      User = "leafbox";
      Group = "leafbox";
      Slice = "leafbox.slice";
      Restart = "on-failure";
      RestartSec = "1s";
      RestartSteps = 8;
      RestartMaxDelaySec = "1min";
    };

  # leafbox's own, on one thread.
  small = {
    # A mistake in the files does not go away by itself.
    RestartPreventExitStatus = 2;
    MemoryMax = "128M";
    TasksMax = 32;
    SocketBindDeny = "any";
  };

  environment.LEAFBOX_CONFIG = "/etc/leafbox/node.toml";
  # nats-server reloads what it can; the rest read both files once, when they start.
  files = lib.mapAttrsToList (_: file: file.source) (
    lib.filterAttrs (name: _: lib.hasPrefix "leafbox/" name) config.environment.etc
  );

  # What works on nats-server's stores, and goes when it goes.
  beside = {
    wantedBy = [ "leafbox.target" ];
    requires = [ "leafbox-nats.service" ];
    after = [ "leafbox-nats.service" ];
    restartTriggers = files;
    inherit environment;
    unitConfig = unit;
  };
  clientService = service // small // lib.optionalAttrs clientOnLoopback hardening.loopback;
in
{
  config = lib.mkIf cfg.enable {
    # A large store wants an owner that stays the same.
    users.users.leafbox = {
      isSystemUser = true;
      group = "leafbox";
      description = "leafbox";
    };
    users.groups.leafbox = { };

    # Before the first start too: enrolment leaves the accounts there.
    systemd.tmpfiles.rules = [ "d ${data} 0750 leafbox leafbox -" ];

    # It is reached when the node is up and its stores are as declared. The default dependencies would
    # make multi-user.target wait for that, which at a hub whose other nodes are away takes minutes.
    systemd.targets.leafbox = {
      description = "leafbox node";
      wantedBy = [ "multi-user.target" ];
      after = map (name: "leafbox-${name}.service") (
        [
          "nats"
          "apply"
          "uplink"
        ]
        ++ lib.optional listeners.runsHealth "health"
      );
      before = [ "shutdown.target" ];
      conflicts = [ "shutdown.target" ];
      unitConfig = {
        inherit (unit) ConditionPathExists;
        DefaultDependencies = false;
      };
    };

    systemd.services.leafbox-nats = {
      description = "nats-server of the leafbox node";
      wantedBy = [ "leafbox.target" ];
      # Not network-online: a leaf starts without a network, and the uplink is tried for ever.
      after = [ "network.target" ];
      environment = environment // {
        LEAFBOX_NATS_SERVER = "${cfg.natsServer}/bin/nats-server";
      };
      restartTriggers = [
        (builtins.hashString "sha256" (
          builtins.toJSON (
            import ./reload.nix {
              inherit lib;
              inherit (cfg)
                role
                settings
                fleet
                jwts
                ;
            }
          )
        ))
      ];
      reloadTriggers = files;
      # A switch restarts it in one go, and does not stop it while it activates the rest.
      stopIfChanged = false;
      unitConfig = unit;
      serviceConfig =
        service
        // lib.optionalAttrs natsOnLoopback hardening.loopback
        // lib.optionalAttrs privilegedPort {
          AmbientCapabilities = "CAP_NET_BIND_SERVICE";
          CapabilityBoundingSet = "CAP_NET_BIND_SERVICE";
          # A capability in a user namespace binds nothing outside of it.
          PrivateUsers = false;
        }
        // {
          Type = "notify";
          # A child tells that nats-server is ready and alive.
          NotifyAccess = "all";
          ExecStart = "${leafbox} unit nats";
          ExecReload = "${leafbox} unit nats-reload";
          Restart = "always";
          # A mistake before the exec. Not 2 as elsewhere: Go ends with it after a panic, and after the
          # watchdog's SIGABRT.
          RestartPreventExitStatus = 78;
          # A big store takes longer, and the child extends this while it is read.
          TimeoutStartSec = "5min";
          WatchdogSec = "2min";
          # Lame duck mode moves leaders and clients to the other hub nodes; a leaf's clients have
          # nowhere else to go.
          KillMode = "mixed";
          KillSignal = if isHub then "SIGUSR2" else "SIGTERM";
          TimeoutStopSec = "75s";
          # Two files a stream, one a connection.
          LimitNOFILE = 524288;
          MemoryHigh = "75%";
          MemoryMax = "85%";
          TasksMax = 1024;
          # What is stored here comes first when memory is short.
          OOMScoreAdjust = -500;
        }
        # Only to tell clients the addresses of the other nodes.
        // lib.optionalAttrs isHub {
          RestrictAddressFamilies = hardening.daemon.RestrictAddressFamilies ++ [ "AF_NETLINK" ];
        };
    };

    systemd.services.leafbox-apply = beside // {
      description = "accounts and stores of the leafbox node as declared";
      serviceConfig = clientService // {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${leafbox} unit apply";
        RestartSec = "5s";
        RestartMaxDelaySec = "5min";
        TimeoutStartSec = "10min";
      };
    };

    systemd.services.leafbox-uplink = beside // {
      description = "uplink watch of the leafbox node";
      serviceConfig = clientService // {
        Type = "notify";
        ExecStart = "${leafbox} unit uplink";
        WatchdogSec = "1min";
      };
    };

    systemd.services.leafbox-health = lib.mkIf listeners.runsHealth {
      description = "health of the leafbox node";
      wantedBy = [ "leafbox.target" ];
      # It also tells that nats-server is gone, so that it does not go with it.
      wants = [ "leafbox-nats.service" ];
      after = [ "leafbox-nats.service" ];
      restartTriggers = files;
      inherit environment;
      unitConfig = unit;
      serviceConfig =
        service
        // removeAttrs small [ "SocketBindDeny" ]
        // lib.optionalAttrs (clientOnLoopback && healthOnLoopback) hardening.loopback
        // {
          Type = "notify";
          ExecStart = "${cfg.package}/bin/leafbox-health --config /etc/leafbox/node.toml";
          WatchdogSec = "1min";
        };
    };
  };
}

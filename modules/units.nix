# The units: nats-server directly under systemd, then what converges it, watches its uplink, tells its
# health, serves images from it and shows it in browsers. Nothing waits for the network beyond this
# machine.
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
  # What a unit may write: the whole folder, or only one in it.
  stateAt =
    folder:
    if underVarLib then
      {
        StateDirectory = lib.removePrefix "/var/lib/" data + folder;
        StateDirectoryMode = "0750";
      }
    else
      { ReadWritePaths = [ (data + folder) ]; };

  # The daemons reach nats-server over loopback unless it listens on another address alone.
  clientOnLoopback = lib.all (listener: listener.loopback || listener.wildcard) listeners.client;
  onLoopback = lib.all (listener: listener.loopback);
  natsOnLoopback =
    onLoopback listeners.nats
    && lib.attrByPath [ "uplink" "urls" ] [ ] cfg.settings == [ ]
    && lib.attrByPath [ "cluster" "routes" ] [ ] cfg.settings == [ ];
  # A websocket or the console on 443: it costs 0.4 of exposure.
  privileged =
    here:
    lib.optionalAttrs (lib.any (listener: listener.port > 0 && listener.port < 1024) here) {
      AmbientCapabilities = "CAP_NET_BIND_SERVICE";
      CapabilityBoundingSet = "CAP_NET_BIND_SERVICE";
      # A capability in a user namespace binds nothing outside of it.
      PrivateUsers = false;
    };

  keys = "/var/lib/leafbox-keys";
  enrolled = "${keys}/enrolled";
  unit = {
    # The target cannot say this for its services: systemd queues what it wants before it looks.
    ConditionPathExists = lib.mkIf cfg.enroll.enable enrolled;
    RequiresMountsFor = data;
    # Tried for ever, with the back-off of the service.
    StartLimitIntervalSec = 0;
  };

  service = hardening.daemon // {
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

  # What works beside nats-server.
  beside = {
    wantedBy = [ "leafbox.target" ];
    after = [ "leafbox-nats.service" ];
    restartTriggers = files;
    inherit environment;
    unitConfig = unit;
  };
  # What only works on its stores goes when it goes; what answers somebody tells them that it is gone.
  onStores = beside // {
    requires = [ "leafbox-nats.service" ];
  };
  answering = beside // {
    wants = [ "leafbox-nats.service" ];
  };
  clientService =
    service // stateAt "" // small // lib.optionalAttrs clientOnLoopback hardening.loopback;

  # A program with a listener of its own.
  daemon =
    {
      name,
      description,
      listens,
      # Whether it goes out to other machines besides.
      goesOut ? false,
      # One of its keys, which a box that was enrolled by an older leafbox lacks until it asks anew.
      needs ? null,
      serviceConfig,
    }:
    answering
    // {
      inherit description;
      unitConfig =
        unit
        // lib.optionalAttrs (needs != null) {
          ConditionPathExists = lib.mkIf cfg.enroll.enable [
            enrolled
            "${keys}/${needs}"
          ];
        };
      serviceConfig =
        service
        // lib.optionalAttrs (clientOnLoopback && onLoopback listens && !goesOut) hardening.loopback
        // privileged listens
        // {
          Type = "notify";
          ExecStart = "${cfg.package}/bin/leafbox-${name} --config ${environment.LEAFBOX_CONFIG}";
          WatchdogSec = "1min";
          RestartPreventExitStatus = 2;
        }
        // serviceConfig;
    };
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
    systemd.tmpfiles.rules = [
      "d ${data} 0750 leafbox leafbox -"
    ]
    # The one folder that the registry writes must be there.
    ++ lib.optional listeners.runsRegistry "d ${data}/registry 0750 leafbox leafbox -";

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
        ++ lib.optional listeners.runsRegistry "registry"
        ++ lib.optional listeners.runsConsole "sse-bridge"
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
        // stateAt ""
        // lib.optionalAttrs natsOnLoopback hardening.loopback
        // privileged listeners.nats
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

    systemd.services.leafbox-apply = onStores // {
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

    systemd.services.leafbox-uplink = onStores // {
      description = "uplink watch of the leafbox node";
      serviceConfig = clientService // {
        Type = "notify";
        ExecStart = "${leafbox} unit uplink";
        WatchdogSec = "1min";
      };
    };

    systemd.services.leafbox-health = lib.mkIf listeners.runsHealth (daemon {
      name = "health";
      description = "health of the leafbox node";
      listens = listeners.health;
      serviceConfig = stateAt "" // removeAttrs small [ "SocketBindDeny" ];
    });

    systemd.services.leafbox-registry = lib.mkIf listeners.runsRegistry (daemon {
      name = "registry";
      description = "container registry of the leafbox node";
      listens = listeners.registry;
      goesOut = (cfg.fleet.registry.upstreams or [ ]) != [ ];
      needs = "registry/registry.creds";
      serviceConfig = stateAt "/registry" // {
        # 96 MiB at most, and beside them what of its cache the kernel keeps at hand.
        MemoryMax = "50%";
        TasksMax = 640;
        # Two files a client: its connection, and a blob of the cache.
        LimitNOFILE = 8192;
      };
    });

    systemd.services.leafbox-sse-bridge = lib.mkIf listeners.runsConsole (daemon {
      name = "sse-bridge";
      description = "web console of the leafbox node";
      listens = listeners.console;
      needs = "console/console-LEAFBOX.creds";
      # It writes nothing at all: what it keeps is in JetStream.
      serviceConfig = {
        # 10,000 pages that are open take 150 MB.
        MemoryMax = "25%";
        # A thread for each core.
        TasksMax = 256;
        # 12,000 connections.
        LimitNOFILE = 16384;
      };
    });
  };
}

# What units must say: each attribute is a test for `lib.runTests`.
{ lib, evaluate }:
let
  fleet = lib.importTOML ../../examples/shop/fleet.toml;
  node =
    declared:
    evaluate [
      ../../modules/default.nix
      {
        services.leafbox = lib.mkMerge [
          {
            enable = true;
            settings.name = lib.mkDefault "shop-1";
            fleet = lib.mkDefault fleet;
          }
          declared
        ];
      }
    ];
  config = declared: (node declared).config;
  service = declared: name: (config declared).systemd.services."leafbox-${name}".serviceConfig;
  services =
    declared:
    lib.filterAttrs (name: _: lib.hasPrefix "leafbox-" name) (config declared).systemd.services;

  enrolled.enroll.enable = true;
  hub = enrolled // {
    role = "hub";
    settings.name = "hub-1";
  };
  explicit = {
    jwts = ../../examples;
    credentials = {
      "jetstream.key" = "/run/secrets/jetstream.key";
      "health.creds" = "/run/secrets/health.creds";
      "registry.creds" = "/run/secrets/registry.creds";
      "console-LEAFBOX.creds" = "/run/secrets/console-LEAFBOX.creds";
      "console-SYS.creds" = "/run/secrets/console-SYS.creds";
      "console.crt" = "/run/secrets/console.crt";
      "console.key" = "/run/secrets/console.key";
      "docker-io.login" = "/run/secrets/docker-io.login";
      "images.crt" = "/run/secrets/images.crt";
      "images.key" = "/run/secrets/images.key";
      "leaf-SHOP.creds" = {
        path = "/etc/credstore.encrypted/leaf-SHOP.creds";
        encrypted = true;
      };
      "apply-SHOP.creds" = "/run/secrets/apply-SHOP.creds";
      "sys.creds" = "/run/secrets/sys.creds";
      "shop.crt" = "/run/secrets/shop.crt";
      "shop.key" = "/run/secrets/shop.key";
    };
    settings.nats.tls.client = {
      cert = "shop.crt";
      key = "shop.key";
    };
    settings.registry.tls = {
      cert = "images.crt";
      key = "images.key";
    };
    settings.console = {
      origin = "https://shop-1.lan:8080";
      tls.cert = "console.crt";
      tls.key = "console.key";
    };
    fleet = lib.recursiveUpdate fleet {
      registry.upstreams = [
        {
          prefix = "docker.io";
          url = "https://registry-1.docker.io";
          credentials = "docker-io.login";
        }
      ];
    };
  };
  with' = settings: enrolled // { inherit settings; };
  allOff = lib.genAttrs [ "console" "health" "registry" ] (_: {
    listen = "off";
  });

  triggers = declared: {
    restart = (config declared).systemd.services.leafbox-nats.restartTriggers;
    reload = map toString (config declared).systemd.services.leafbox-nats.reloadTriggers;
  };
  # What switching from one configuration to another does to nats-server.
  change =
    from: to:
    let
      old = triggers from;
      new = triggers to;
    in
    if old.restart != new.restart then
      "restart"
    else if old.reload != new.reload then
      "reload"
    else
      "nothing";
  toSettings = settings: change enrolled (with' settings);
  toFleet = changes: change enrolled (enrolled // { fleet = lib.recursiveUpdate fleet changes; });
in
{
  testEveryUnitStartsWithTheTarget = {
    expr = lib.mapAttrs (_: unit: unit.wantedBy) (services enrolled);
    expected = {
      leafbox-nats = [ "leafbox.target" ];
      leafbox-apply = [ "leafbox.target" ];
      leafbox-uplink = [ "leafbox.target" ];
      leafbox-health = [ "leafbox.target" ];
      leafbox-registry = [ "leafbox.target" ];
      leafbox-sse-bridge = [ "leafbox.target" ];
      leafbox-enroll = [ "multi-user.target" ];
    };
  };
  # systemd queues what a target wants before it looks at the target's condition.
  testEveryUnitWaitsForEnrolmentItself = {
    expr = lib.mapAttrs (_: unit: unit.unitConfig.ConditionPathExists) (services enrolled);
    expected =
      lib.genAttrs [
        "leafbox-nats"
        "leafbox-apply"
        "leafbox-uplink"
        "leafbox-health"
      ] (_: "/var/lib/leafbox-keys/enrolled")
      // {
        leafbox-registry = [
          "/var/lib/leafbox-keys/enrolled"
          "/var/lib/leafbox-keys/registry/registry.creds"
        ];
        leafbox-sse-bridge = [
          "/var/lib/leafbox-keys/enrolled"
          "/var/lib/leafbox-keys/console/console-LEAFBOX.creds"
        ];
        leafbox-enroll = "!/var/lib/leafbox-keys/enrolled";
      };
  };
  testWithoutEnrolmentNothingWaits = {
    expr = lib.mapAttrsToList (name: unit: [
      name
      (unit.unitConfig ? ConditionPathExists)
    ]) (services explicit);
    expected =
      map
        (name: [
          "leafbox-${name}"
          false
        ])
        [
          "apply"
          "health"
          "nats"
          "registry"
          "sse-bridge"
          "uplink"
        ];
  };
  # multi-user.target would wait for the target, and so for the first apply.
  testTheBootDoesNotWaitForApply = {
    expr = (config enrolled).systemd.targets.leafbox.unitConfig.DefaultDependencies;
    expected = false;
  };
  testTheTargetIsReachedWhenEveryUnitIs = {
    expr =
      map
        (declared: {
          inherit ((config declared).systemd.targets.leafbox) after;
          units = map (name: "${name}.service") (
            builtins.filter (name: name != "leafbox-enroll") (builtins.attrNames (services declared))
          );
        })
        [
          enrolled
          (with' allOff)
        ];
    expected = [
      {
        after = [
          "leafbox-nats.service"
          "leafbox-apply.service"
          "leafbox-uplink.service"
          "leafbox-health.service"
          "leafbox-registry.service"
          "leafbox-sse-bridge.service"
        ];
        units = [
          "leafbox-apply.service"
          "leafbox-health.service"
          "leafbox-nats.service"
          "leafbox-registry.service"
          "leafbox-sse-bridge.service"
          "leafbox-uplink.service"
        ];
      }
      {
        after = [
          "leafbox-nats.service"
          "leafbox-apply.service"
          "leafbox-uplink.service"
        ];
        units = [
          "leafbox-apply.service"
          "leafbox-nats.service"
          "leafbox-uplink.service"
        ];
      }
    ];
  };
  testNothingWaitsForTheNetwork = {
    expr = lib.filterAttrs (
      _: unit: builtins.elem "network-online.target" (unit.after ++ unit.wants ++ unit.requires)
    ) (services enrolled);
    expected = { };
  };
  # Go ends with 2 after a panic, and after the watchdog's SIGABRT.
  testNatsServerIsRestartedAfterAPanic = {
    expr = lib.mapAttrs (_: unit: unit.serviceConfig.RestartPreventExitStatus or null) (
      services enrolled
    );
    expected = {
      leafbox-nats = 78;
      leafbox-apply = 2;
      leafbox-uplink = 2;
      leafbox-health = 2;
      leafbox-registry = 2;
      leafbox-sse-bridge = 2;
      leafbox-enroll = null;
    };
  };
  testAHubLeavesInLameDuckModeALeafAtOnce = {
    expr = map (declared: (service declared "nats").KillSignal) [
      enrolled
      hub
    ];
    expected = [
      "SIGTERM"
      "SIGUSR2"
    ];
  };
  testSystemCallExclusionsAreOnLinesOfTheirOwn = {
    expr = lib.unique (
      lib.mapAttrsToList (_: unit: unit.serviceConfig.SystemCallFilter) (services enrolled)
    );
    expected = [
      [
        "@system-service"
        "~@privileged"
        "~@resources"
      ]
    ];
  };

  testEnrolledKeysComeAsFolders = {
    expr = lib.mapAttrs (_: unit: unit.serviceConfig.LoadCredentialEncrypted or null) (
      services enrolled
    );
    expected = {
      leafbox-nats = [ "leafbox:/var/lib/leafbox-keys/nats" ];
      leafbox-apply = [ "leafbox:/var/lib/leafbox-keys/apply" ];
      leafbox-uplink = [ "leafbox:/var/lib/leafbox-keys/apply" ];
      leafbox-health = [ "leafbox:/var/lib/leafbox-keys/health" ];
      leafbox-registry = [ "leafbox:/var/lib/leafbox-keys/registry" ];
      leafbox-sse-bridge = [ "leafbox:/var/lib/leafbox-keys/console" ];
      leafbox-enroll = null;
    };
  };
  testUnencryptedKeysAreLoadedPlainly = {
    expr =
      service {
        enroll.enable = true;
        enroll.encrypt = false;
      } "nats"
      ? LoadCredentialEncrypted;
    expected = false;
  };
  testEachUnitGetsOnlyItsCredentials = {
    expr = lib.mapAttrs (_: unit: unit.serviceConfig.LoadCredential) (services explicit);
    expected = {
      leafbox-nats = [
        "jetstream.key:/run/secrets/jetstream.key"
        "shop.crt:/run/secrets/shop.crt"
        "shop.key:/run/secrets/shop.key"
      ];
      leafbox-apply = [
        "apply-SHOP.creds:/run/secrets/apply-SHOP.creds"
        "shop.crt:/run/secrets/shop.crt"
        "sys.creds:/run/secrets/sys.creds"
      ];
      leafbox-uplink = [
        "apply-SHOP.creds:/run/secrets/apply-SHOP.creds"
        "shop.crt:/run/secrets/shop.crt"
      ];
      leafbox-health = [
        "health.creds:/run/secrets/health.creds"
        "shop.crt:/run/secrets/shop.crt"
      ];
      leafbox-registry = [
        "docker-io.login:/run/secrets/docker-io.login"
        "images.crt:/run/secrets/images.crt"
        "images.key:/run/secrets/images.key"
        "registry.creds:/run/secrets/registry.creds"
        "shop.crt:/run/secrets/shop.crt"
      ];
      leafbox-sse-bridge = [
        "console-LEAFBOX.creds:/run/secrets/console-LEAFBOX.creds"
        "console-SYS.creds:/run/secrets/console-SYS.creds"
        "console.crt:/run/secrets/console.crt"
        "console.key:/run/secrets/console.key"
        "shop.crt:/run/secrets/shop.crt"
      ];
    };
  };
  testAnEncryptedCredentialIsDecrypted = {
    expr = (service explicit "nats").LoadCredentialEncrypted;
    expected = [ "leaf-SHOP.creds:/etc/credstore.encrypted/leaf-SHOP.creds" ];
  };

  testLoopbackDaemonsReachNothingElse = {
    expr = lib.mapAttrs (_: unit: unit.serviceConfig.IPAddressDeny or null) (
      services (with' {
        uplink.urls = [ "tls://hub.example.net:7422" ];
      })
    );
    expected = {
      leafbox-nats = null;
      leafbox-apply = "any";
      leafbox-uplink = "any";
      leafbox-health = "any";
      leafbox-registry = "any";
      leafbox-sse-bridge = "any";
      leafbox-enroll = "any";
    };
  };
  testALoneLeafReachesNothingAtAll = {
    expr = (service enrolled "nats").IPAddressDeny;
    expected = "any";
  };
  testWhatListensOutsideIsReachable = {
    expr =
      map
        (
          name:
          (service (with' {
            nats.client = "10.0.0.5:4222";
            health.listen = "[::]:7777";
            registry.listen = "[::]:5000";
            console.listen = "[::]:8080";
          }) name).IPAddressDeny or null
        )
        [
          "nats"
          "apply"
          "uplink"
          "health"
          "registry"
          "sse-bridge"
        ];
    expected = [
      null
      null
      null
      null
      null
      null
    ];
  };
  testARegistryWithUpstreamsReachesThem = {
    expr = (service explicit "registry").IPAddressDeny or null;
    expected = null;
  };
  testEachListenerCanBeOffAndTheOthersStay = {
    expr =
      let
        all = builtins.attrNames (services enrolled);
        without =
          section:
          lib.subtractLists (builtins.attrNames (
            services (with' {
              ${section}.listen = "off";
            })
          )) all;
      in
      map without (builtins.attrNames allOff);
    expected = [
      [ "leafbox-sse-bridge" ]
      [ "leafbox-health" ]
      [ "leafbox-registry" ]
    ];
  };
  # Of all that the node keeps: these two answer whoever is on the network.
  testTheRegistryWritesItsCacheAloneAndTheConsoleNothing = {
    expr = [
      (service enrolled "registry").StateDirectory
      (service (with' { data = "/srv/leafbox"; }) "registry").ReadWritePaths
      (service enrolled "sse-bridge").StateDirectory or null
      (service (with' { data = "/srv/leafbox"; }) "sse-bridge").ReadWritePaths or null
      (builtins.filter (lib.hasInfix "registry") (config enrolled).systemd.tmpfiles.rules)
    ];
    expected = [
      "leafbox/registry"
      [ "/srv/leafbox/registry" ]
      null
      null
      [
        "d /var/lib/leafbox/registry 0750 leafbox leafbox -"
        "d /var/lib/leafbox-keys/registry 0700 root root -"
      ]
    ];
  };
  testALowPortTakesOneCapability = {
    expr =
      map
        (
          settings:
          lib.attrNames (
            lib.filterAttrs (_: unit: unit.serviceConfig.CapabilityBoundingSet == "CAP_NET_BIND_SERVICE") (
              services (with' settings)
            )
          )
        )
        [
          { nats.websocket = "[::]:443"; }
          { health.listen = "[::]:80"; }
          { registry.listen = "[::]:443"; }
          { console.listen = "[::]:443"; }
          { }
        ];
    expected = [
      [ "leafbox-nats" ]
      [ "leafbox-health" ]
      [ "leafbox-registry" ]
      [ "leafbox-sse-bridge" ]
      [ ]
    ];
  };

  testTheFirewallStaysShut = {
    expr =
      (config (with' {
        nats.leaf = "[::]:7422";
      })).networking.firewall.allowedTCPPorts;
    expected = [ ];
  };
  testTheFirewallOpensWhatIsNotOnLoopback = {
    expr =
      (config (
        (with' {
          nats.client = "127.0.0.1:4222";
          nats.leaf = "[::]:7422";
          nats.websocket = "off";
          health.listen = "0.0.0.0:7777";
          registry.listen = "[::]:5000";
          console.listen = "192.168.1.5:8080";
        })
        // {
          openFirewall = true;
        }
      )).networking.firewall.allowedTCPPorts;
    expected = [
      5000
      7422
      7777
      8080
    ];
  };

  testStateOnADiskOfItsOwn = {
    expr = (service (with' { data = "/srv/leafbox"; }) "nats").ReadWritePaths;
    expected = [ "/srv/leafbox" ];
  };

  testWhatIsBesideNatsServerLeavesItAlone = {
    expr = [
      (toSettings { registry.listen = "[::]:5000"; })
      (toSettings { console.listen = "off"; })
      (toFleet { registry.quotas.team = "1GiB"; })
    ];
    expected = [
      "reload"
      "reload"
      "reload"
    ];
  };
  testALimitReloads = {
    expr = toSettings { nats.max_connections = 5; };
    expected = "reload";
  };
  testAnotherUplinkReloads = {
    expr = change (with' { uplink.urls = [ "tls://hub-1.example.net:7422" ]; }) (with' {
      uplink.urls = [ "tls://hub-2.example.net:7422" ];
    });
    expected = "reload";
  };
  testAListenerRestarts = {
    expr = toSettings { nats.client = "127.0.0.1:4223"; };
    expected = "restart";
  };
  testAStorageLimitRestarts = {
    expr = toSettings { jetstream.max_storage = "1GiB"; };
    expected = "restart";
  };
  testAServiceReloads = {
    expr = toFleet { accounts.SHOP.services.office.description = "sets prices"; };
    expected = "reload";
  };
  testAnotherSubjectRestartsALeafWithAnUplink = {
    expr =
      let
        linked = with' { uplink.urls = [ "tls://hub.example.net:7422" ]; };
        selling = subjects: {
          fleet = lib.recursiveUpdate fleet { accounts.SHOP.streams.ORDERS = { inherit subjects; }; };
        };
      in
      [
        (change linked (linked // selling [ "sales.>" ]))
        (change enrolled (enrolled // selling [ "sales.>" ]))
        (change hub (hub // selling [ "sales.>" ]))
      ];
    expected = [
      "restart"
      "reload"
      "reload"
    ];
  };
  testTheSameFilesDoNothing = {
    expr = toSettings { };
    expected = "nothing";
  };
  testTlsOnAListenerRestarts = {
    expr = toSettings {
      nats.tls.client = {
        cert = "a.crt";
        key = "a.key";
      };
    };
    expected = "restart";
  };
  testAnotherOperatorRestarts = {
    expr = change explicit (explicit // { jwts = ../../daemons/nats-conf/tests/fixtures; });
    expected = "restart";
  };
  testNewJwtsReload = {
    expr = change explicit (explicit // { jwts = ./nodes; });
    expected = "reload";
  };
}

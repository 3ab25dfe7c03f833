# What no unit of leafbox may do. `systemd-analyze security` stays at or below 1.1 with it, and at
# or below 1.3 for nats-server; tests/vm measures it.
rec {
  # Of every unit, also of the one that runs as root.
  common = {
    CapabilityBoundingSet = "";
    DevicePolicy = "closed";
    KeyringMode = "private";
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    NoNewPrivileges = true;
    PrivateMounts = true;
    PrivateTmp = true;
    PrivateUsers = true;
    # None of the daemons reads what the kernel tells of the machine.
    ProcSubset = "pid";
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    ProtectSystem = "strict";
    RemoveIPC = true;
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    # Exclusions stand on lines of their own: systemd ignores them after a set on the same line.
    SystemCallFilter = [
      "@system-service"
      "~@privileged"
      "~@resources"
    ];
    # Refused, not killed: the Go runtime tries to raise limits and goes on without.
    SystemCallErrorNumber = "EPERM";
    UMask = "0077";
  };

  # Of the daemons.
  daemon = common // {
    PrivateDevices = true;
    # AF_UNIX carries sd_notify and the journal.
    RestrictAddressFamilies = [
      "AF_UNIX"
      "AF_INET"
      "AF_INET6"
    ];
  };

  # Of those that speak with this machine only.
  loopback = {
    IPAddressAllow = "localhost";
    IPAddressDeny = "any";
  };
}

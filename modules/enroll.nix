# Enrolment: the machine makes its keys, asks on its console to be let in, and starts the node when
# it is.
{
  config,
  lib,
  ...
}:
let
  cfg = config.services.leafbox;
  hardening = import ./hardening.nix;
  keys = "/var/lib/leafbox-keys";
in
{
  config = lib.mkIf (cfg.enable && cfg.enroll.enable) {
    # A folder that a unit loads its credentials from must be there, empty or not.
    systemd.tmpfiles.rules = map (folder: "d ${keys}${folder} 0700 root root -") [
      ""
      "/nats"
      "/apply"
      "/health"
      "/registry"
      "/console"
      "/signing"
    ];

    systemd.services.leafbox-enroll = {
      description = "enrolment request of the leafbox node";
      wantedBy = [ "multi-user.target" ];
      environment.LEAFBOX_CONFIG = "/etc/leafbox/node.toml";
      path = [ config.systemd.package ];
      unitConfig.ConditionPathExists = "!${keys}/enrolled";
      serviceConfig = hardening.common // {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${cfg.package}/bin/leafbox enroll request --console${
          lib.optionalString (!cfg.enroll.encrypt) " --no-encrypt"
        }";
        StandardOutput = "journal+console";
        # Encryption may write the host key that systemd-creds makes once.
        StateDirectory = "leafbox-keys";
        StateDirectoryMode = "0700";
        # To see whether there is a store that another key wrote.
        SupplementaryGroups = "leafbox";
        ReadWritePaths = lib.mkIf cfg.enroll.encrypt [ "/var/lib/systemd" ];
        PrivateDevices = !cfg.enroll.encrypt;
        DeviceAllow = lib.mkIf cfg.enroll.encrypt [ "/dev/tpmrm0 rw" ];
        PrivateNetwork = true;
        IPAddressDeny = "any";
        # The journal.
        RestrictAddressFamilies = [ "AF_UNIX" ];
        MemoryMax = "128M";
        TasksMax = 32;
      };
    };

    # Changed and not exists: an existing file would start the node again whenever it is stopped.
    systemd.paths.leafbox-enrolled = {
      description = "answer to the enrolment request of the leafbox node";
      wantedBy = [ "multi-user.target" ];
      before = [ "leafbox.target" ];
      pathConfig = {
        PathChanged = "${keys}/enrolled";
        Unit = "leafbox.target";
      };
    };
  };
}

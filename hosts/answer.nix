# How the operator's answer comes into a machine that nobody can log in to: pasted at the console, or
# as the file `leafbox-answer` on the partition that other computers can read too.
#
# Both are over once the machine is enrolled: what comes later needs the keys that it then has.
{ config, lib, ... }:
let
  hardening = import ../modules/hardening.nix;
  leafbox = "${config.services.leafbox.package}/bin/leafbox";
  enrolled = "/var/lib/leafbox-keys/enrolled";
  # The FAT partition: that of EFI, or that of the Raspberry Pi's firmware.
  folder =
    if config.fileSystems ? "/boot/firmware" then
      "/boot/firmware"
    else
      config.boot.loader.efi.efiSysMountPoint;
  file = "${folder}/leafbox-answer";

  accept = {
    # After the request is on the console, which names the machine.
    after = [ "leafbox-enroll.service" ];
    wantedBy = [ "multi-user.target" ];
    environment.LEAFBOX_CONFIG = "/etc/leafbox/node.toml";
    path = [ config.systemd.package ];
    # Root, for the keys are root's. Of root's powers it needs to write into the node's folder and to
    # give the account JWTs in it to the node, which a namespace of users forbids. ProtectClock and
    # DevicePolicy allow few devices, and the TPM and the console are others.
    serviceConfig =
      removeAttrs hardening.common [
        "DevicePolicy"
        "PrivateUsers"
        "ProtectClock"
      ]
      // {
        CapabilityBoundingSet = [
          "CAP_CHOWN"
          "CAP_DAC_OVERRIDE"
        ];
        # The keys, the account JWTs, and the host key that systemd-creds makes once.
        ReadWritePaths = [
          "/var/lib"
          "-${config.services.leafbox.settings.data}"
        ];
        IPAddressDeny = "any";
        MemoryMax = "128M";
        PrivateNetwork = true;
        RestrictAddressFamilies = "AF_UNIX";
        # To give files away is among the privileged calls.
        SystemCallFilter = [
          "@system-service"
          "~@resources"
        ];
        TasksMax = 32;
      };
  };
in
{
  systemd.services.leafbox-answer = lib.mkMerge [
    accept
    {
      description = "enrolment answer on the boot partition";
      unitConfig = {
        ConditionPathExists = [
          "!${enrolled}"
          file
        ];
        # Also where the partition is not mounted otherwise.
        RequiresMountsFor = folder;
      };
      serviceConfig = {
        Type = "oneshot";
        ExecStart = "${leafbox} enroll accept ${file}";
      };
    }
  ];

  systemd.services.leafbox-console = lib.mkMerge [
    accept
    {
      description = "enrolment answer at the console";
      after = [ "leafbox-answer.service" ];
      unitConfig = {
        ConditionPathExists = "!${enrolled}";
        # Asked again as long as nobody has answered.
        StartLimitIntervalSec = 0;
      };
      serviceConfig = {
        ExecStart = "${leafbox} enroll accept -";
        StandardInput = "tty-force";
        StandardOutput = "tty";
        StandardError = "journal+console";
        TTYPath = "/dev/console";
        TTYReset = true;
        # A paste that went wrong is no reason to carry the box home.
        Restart = "always";
        RestartSec = "2s";
      };
    }
  ];

  # No login prompt: there is nobody to log in, and it would take the paste.
  systemd.services = {
    "getty@".enable = false;
    "serial-getty@".enable = false;
    "autovt@".enable = false;
  };
}

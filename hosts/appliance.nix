# What every machine here is beside its hardware: nobody logs in, nothing waits for a network, and
# what hangs is started again.
{ lib, modulesPath, ... }:
let
  # SSH keys of those who may log in as root, to update the machine with `nixos-rebuild`. With none,
  # there is no SSH server and no way to log in at all.
  operators = [ ];
in
{
  imports = [
    (modulesPath + "/profiles/minimal.nix")
    ./answer.nix
  ];

  services.leafbox = {
    enable = true;
    fleet = lib.mkDefault (lib.importTOML ./fleet.toml);
    # No key is in the image: the machine makes its own and asks to be let in.
    enroll.enable = true;
  };

  users.mutableUsers = false;
  users.allowNoPasswordLogin = true;
  users.users.root.openssh.authorizedKeys.keys = operators;
  services.openssh = {
    enable = operators != [ ];
    settings = {
      PasswordAuthentication = false;
      KbdInteractiveAuthentication = false;
    };
  };
  security.sudo.enable = false;

  # An unattended machine has nobody for an emergency shell, and starts again instead.
  systemd.enableEmergencyMode = false;
  boot.kernelParams = [
    "panic=10"
    "boot.panic_on_fail"
  ];
  systemd.settings.Manager = {
    RuntimeWatchdogSec = "30s";
    RebootWatchdogSec = "5min";
  };

  boot.initrd.systemd.enable = true;
  # Generations stay selectable, by holding the space bar; their kernel parameters do not change.
  boot.loader.timeout = lib.mkDefault 0;
  boot.loader.systemd-boot = {
    editor = false;
    configurationLimit = 5;
  };

  networking.useNetworkd = true;
  systemd.network.wait-online.enable = false;

  # JetStream has the rest of the disk. A file, because the option has another name after 26.05.
  environment.etc."systemd/journald.conf.d/appliance.conf".text = ''
    [Journal]
    SystemMaxUse=200M
  '';
  nix.channel.enable = false;

  system.stateVersion = "26.05";
}

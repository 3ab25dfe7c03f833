# A leaf on a Raspberry Pi 4, from an SD card. (A Pi 5 boots by firmware that nixpkgs' image does not
# bring; see docs/images.md.)
{ lib, ... }:
{
  imports = [
    ./appliance.nix
    ./edge.nix
  ];

  networking.hostName = "edge-pi";
  nixpkgs.hostPlatform = "aarch64-linux";

  # U-Boot reads what this writes; its menu waits for a second, for there is no key to hold.
  boot.loader.grub.enable = false;
  boot.loader.generic-extlinux-compatible = {
    enable = true;
    configurationLimit = 5;
  };
  boot.loader.timeout = 1;
  hardware.enableRedistributableFirmware = true;

  # As the image lays them out.
  fileSystems = {
    "/" = lib.mkDefault {
      device = "/dev/disk/by-label/NIXOS_SD";
      fsType = "ext4";
      options = [ "noatime" ];
    };
    "/boot/firmware" = lib.mkDefault {
      device = "/dev/disk/by-label/FIRMWARE";
      fsType = "vfat";
      options = [
        "nofail"
        "noauto"
      ];
    };
  };

  # The image's own module brings an installer's tools, ZFS among them.
  image.modules.sd-card.disabledModules = [ "profiles/base.nix" ];

  services.leafbox.settings = {
    # The Pi 4's processor has no AES instructions.
    jetstream.encryption = "chacha";
  };
}

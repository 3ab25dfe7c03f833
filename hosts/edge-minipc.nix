# A leaf on an x86 mini PC. Of the disk only /nix and /var count: the rest is made anew at each boot,
# so that what the configuration does not say is gone with the next power cut.
{ lib, pkgs, ... }:
let
  disk = "/dev/disk/by-label/nixos";
  bind = folder: {
    device = "/disk${folder}";
    fsType = "none";
    options = [ "bind" ];
    depends = [ "/disk" ];
    neededForBoot = true;
  };
in
{
  imports = [
    ./appliance.nix
    ./edge.nix
  ];

  networking.hostName = "edge-minipc";
  nixpkgs.hostPlatform = "x86_64-linux";

  boot.loader.systemd-boot.enable = true;
  boot.initrd.availableKernelModules = [
    "ahci"
    "mmc_block"
    "nvme"
    "sd_mod"
    "sdhci_acpi"
    "sdhci_pci"
    "usb_storage"
    "usbhid"
    "xhci_pci"
  ];
  hardware.enableRedistributableFirmware = true;
  hardware.cpu.intel.updateMicrocode = true;
  hardware.cpu.amd.updateMicrocode = true;

  # /etc is new at each boot, and the machine's ID must not be: under another one, systemd takes the
  # host key that seals the secrets for another machine's and deletes it. It is not the firmware's,
  # which cheap boards share and an update may change. A boot without it must not go on.
  boot.initrd.systemd.services.keep-machine-id = {
    description = "machine ID of the first boot";
    requiredBy = [ "initrd.target" ];
    unitConfig.RequiresMountsFor = "/sysroot/var";
    serviceConfig.Type = "oneshot";
    script = ''
      set -e
      id=/sysroot/var/lib/machine-id
      if ! [ -s "$id" ]; then
        mkdir -p /sysroot/var/lib
        tr -d - </proc/sys/kernel/random/uuid >"$id.new"
        sync "$id.new"
        mv "$id.new" "$id"
        sync /sysroot/var/lib
      fi
      mkdir -p /sysroot/etc
      cp "$id" /sysroot/etc/machine-id
    '';
  };

  # By force, because the image's own module would put the root on the disk.
  fileSystems = lib.mkForce {
    "/" = {
      device = "none";
      fsType = "tmpfs";
      options = [
        "size=25%"
        "mode=755"
      ];
    };
    "/disk" = {
      device = disk;
      fsType = "ext4";
      options = [ "noatime" ];
      neededForBoot = true;
    };
    "/nix" = bind "/nix";
    "/var" = bind "/var";
    "/boot" = {
      device = "/dev/disk/by-label/ESP";
      fsType = "vfat";
      options = [ "umask=0077" ];
    };
  };

  # NixOS grows the partition of the root, which is none here.
  boot.growPartition = false;
  systemd.services.grow-disk = {
    description = "partition and file system as large as the disk";
    wantedBy = [ "multi-user.target" ];
    # JetStream takes what is free when it starts.
    before = [ "leafbox-nats.service" ];
    path = [
      pkgs.cloud-utils.guest
      pkgs.e2fsprogs
      pkgs.util-linux
    ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
    };
    script = ''
      partition=$(readlink -f ${disk})
      # 1 says that there is nothing to grow.
      growpart "/dev/$(lsblk -ndo PKNAME "$partition")" "$(lsblk -ndo PARTN "$partition")" || [ $? = 1 ]
      resize2fs "$partition"
    '';
  };
}

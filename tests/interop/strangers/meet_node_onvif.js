// Meets one camera with the npm package node-onvif, and prints what it made of it as JSON. {xaddr, user, pass} on stdin.
const onvif = require("node-onvif");

async function meet(login) {
  const camera = new onvif.OnvifDevice(login);
  const information = await camera.init();
  const told = {
    information,
    profiles: camera.getProfileList().map((profile) => profile.token),
    stream: camera.getUdpStreamUrl(),
    streams: camera.getProfileList().map((profile) => profile.stream.rtsp),
    snapshots: camera.getProfileList().map((profile) => profile.snapshot),
  };
  const picture = await camera.fetchSnapshot();
  told.picture = { type: picture.headers["content-type"], jpeg: picture.body[0] === 0xff && picture.body[1] === 0xd8 };
  if (camera.services.ptz) told.ptz = await drive(camera);
  return told;
}

async function drive(camera) {
  const ProfileToken = camera.getCurrentProfile().token;
  const listed = async () => [(await camera.services.ptz.getPresets({ ProfileToken })).data.GetPresetsResponse.Preset].flat();
  const before = await listed();
  const set = await camera.services.ptz.setPreset({ ProfileToken, PresetName: "stranger" });
  const PresetToken = set.data.SetPresetResponse.PresetToken;
  const during = await listed();
  await camera.services.ptz.removePreset({ ProfileToken, PresetToken });
  await camera.ptzMove({ speed: { x: 1.0, y: 0.0, z: 0.0 }, timeout: 30 });
  const moving = await camera.services.ptz.getStatus({ ProfileToken });
  await camera.ptzStop();
  const stopped = await camera.services.ptz.getStatus({ ProfileToken });
  await camera.services.ptz.gotoPreset({ ProfileToken, PresetToken: "1", Speed: { x: 1, y: 1, z: 1 } });
  const state = (status) => status.data.GetStatusResponse.PTZStatus.MoveStatus.PanTilt;
  return { before: before.length, during: during.length, after: (await listed()).length, moving: state(moving), stopped: state(stopped) };
}

const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk));
process.stdin.on("end", () =>
  meet(JSON.parse(Buffer.concat(chunks).toString())).then(
    (told) => process.stdout.write(JSON.stringify(told), () => process.exit(0)), // a client that leaves its connections open would stay
    (error) => {
      console.error(error);
      process.exit(1);
    },
  ),
);

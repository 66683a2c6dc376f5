// Meets one device with the npm package onvif, and prints what it made of it as JSON.
// On stdin: {kind, login: {hostname, port, username, password}}.
const { Cam } = require("onvif/promises");

async function meet({ kind, login }) {
  const camera = new Cam({ ...login, timeout: 10000 });
  await camera.connect();
  return kind === "recorder" ? search(camera) : watch(camera);
}

async function search(recorder) {
  const recordings = [await recorder.getRecordings()].flat().map((recording) => recording.recordingToken);
  return { recordings, replay: await recorder.getReplayUri({ recordingToken: recordings[0] }) };
}

async function watch(camera) {
  const profileToken = camera.activeSource.profileToken;
  const told = {
    information: await camera.getDeviceInformation(),
    profiles: (await camera.getProfiles()).map((profile) => profile.$.token),
    snapshot: (await camera.getSnapshotUri({ profileToken })).uri,
    scopes: (await camera.getScopes()).map((scope) => scope.scopeItem),
    hostname: await camera.getHostname(),
    encoders: (await camera.getVideoEncoderConfigurations()).map((encoder) => encoder.encoding),
    options: await camera.getVideoEncoderConfigurationOptions({ profileToken }),
    imaging: await camera.getImagingSettings({ token: camera.activeSource.sourceToken }),
    services: (await camera.getServices(true)).map((service) => service.namespace),
  };
  told.streams = [];
  for (const token of told.profiles) told.streams.push((await camera.getStreamUri({ protocol: "RTSP", profileToken: token })).uri);
  if (camera.activeSource.ptz) told.ptz = await drive(camera, profileToken);
  return told;
}

async function drive(camera, profileToken) {
  const before = await camera.getPresets({ profileToken });
  await camera.setPreset({ profileToken, presetName: "stranger" });
  const during = await camera.getPresets({ profileToken });
  await camera.removePreset({ profileToken, presetToken: during.stranger.$.token });
  await camera.continuousMove({ profileToken, x: 1, y: 0, zoom: 0, timeout: 60000 });
  const moving = await camera.getStatus({ profileToken });
  await camera.stop({ profileToken, panTilt: true, zoom: true });
  const stopped = await camera.getStatus({ profileToken });
  await camera.gotoPreset({ profileToken, preset: Object.values(before)[0].$.token });
  await camera.absoluteMove({ profileToken, position: { x: 0.5, y: 0.1, zoom: 0.2 } });
  await camera.relativeMove({ profileToken, translation: { x: -0.1, y: 0, zoom: 0 } });
  await camera.gotoHomePosition({ profileToken });
  return {
    before: Object.keys(before),
    during: Object.keys(during),
    after: Object.keys(await camera.getPresets({ profileToken })),
    moving: moving.moveStatus.panTilt,
    stopped: stopped.moveStatus.panTilt,
    nodes: Object.keys(await camera.getNodes()),
    configurations: Object.keys(await camera.getConfigurations()),
  };
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

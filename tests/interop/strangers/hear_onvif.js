// Listens to one camera with the npm package onvif until something begins, and prints what it heard as JSON.
// On stdin: {login: {hostname, port, username, password}}.
const { Cam } = require("onvif"); // its promises know no events

function listen({ login }) {
  const heard = [];
  const camera = new Cam({ ...login, timeout: 10000 }, (error) => {
    if (error) fail(error);
    camera.on("eventsError", fail);
    camera.on("event", ({ topic, message: { message } }) => {
      const change = message.$.PropertyOperation;
      heard.push({ topic: topic._, change, ...message.data.simpleItem.$ });
      if (change === "Changed") process.stdout.write(JSON.stringify(heard), () => process.exit(0));
    });
  });
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk));
process.stdin.on("end", () => listen(JSON.parse(Buffer.concat(chunks).toString())));

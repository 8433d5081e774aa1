
// Milliseconds of sound that a message holds, and bytes that may wait to be sent.
const MESSAGE = 100, QUEUED = 2 ** 20;

/** Numbers in -1..1 as samples of 16 bits. */
const samplesOf = (numbers) => Int16Array.from(numbers, (x) => Math.max(-32768, Math.min(32767, Math.round(32768 * x))));

/** A WAV file of samples, as base64. */
function wavOf(samples, rate) {
  const head = new DataView(new ArrayBuffer(44));
  const word = (at, letters) => [...letters].forEach((letter, k) => head.setUint8(at + k, letter.charCodeAt(0)));
  word(0, "RIFF"); head.setUint32(4, 36 + 2 * samples.length, true); word(8, "WAVEfmt "); head.setUint32(16, 16, true);
  head.setUint16(20, 1, true); head.setUint16(22, 1, true); head.setUint32(24, rate, true);
  head.setUint32(28, 2 * rate, true); head.setUint16(32, 2, true); head.setUint16(34, 16, true);
  word(36, "data"); head.setUint32(40, 2 * samples.length, true);
  let bytes = "";
  for (const part of [new Uint8Array(head.buffer), new Uint8Array(samples.buffer)])
    for (let at = 0; at < part.length; at += 8192) bytes += String.fromCharCode(...part.subarray(at, at + 8192));
  return btoa(bytes);
}

/** The sound of a file, of one channel and at this rate. */
async function soundOf(file, rate) {
  const whole = await new OfflineAudioContext(1, 1, rate).decodeAudioData(await file.arrayBuffer());
  if (whole.numberOfChannels === 1) return samplesOf(whole.getChannelData(0));
  const mixed = new OfflineAudioContext(1, whole.length, rate);
  const source = new AudioBufferSourceNode(mixed, { buffer: whole });
  source.connect(mixed.destination);
  source.start();
  return samplesOf((await mixed.startRendering()).getChannelData(0));
}

/** The microphone: `heard(samples)` while it is open. Returns what closes it. */
async function microphone(rate, heard) {
  if (!navigator.mediaDevices)
    throw new Refused(0, "The browser gives a microphone to pages of this machine and of HTTPS alone. Choose a file instead.");
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } }).catch((error) => {
    throw new Refused(0, `The microphone cannot be used: ${error.message}`);
  });
  let context = null;
  const close = async () => {
    stream.getTracks().forEach((track) => track.stop());
    if (context) await context.close();
  };
  try {
    context = new AudioContext({ sampleRate: rate });
    await context.audioWorklet.addModule(`${ROOT}/recorder.js`);
    const node = new AudioWorkletNode(context, "recorder", {
      numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit",
      processorOptions: { size: Math.round((rate * MESSAGE) / 1000) },
    });
    node.port.onmessage = ({ data }) => heard(samplesOf(data));
    context.createMediaStreamSource(stream).connect(node);
    return () => ((node.port.onmessage = null), close());
  } catch (error) {
    await close(); // nobody is left who could
    throw error;
  }
}

/** Why the service hears no sound: a browser is not told what a WebSocket was refused with, but a request is. */
async function refusedSound(query) {
  const headers = { "Content-Type": "application/octet-stream", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const answer = await fetch(`${ROOT}/hear?${query}`, { method: "POST", headers, body: new Uint8Array(0) }).catch(() => null);
  const said = answer && !answer.ok ? await answer.json().catch(() => null) : null;
  return new Refused(0, said ? said.error : "The service hears no sound that comes: it refused the WebSocket, or a proxy does not pass it on.");
}

/** A sound that is heard while it is sent. `told(event)` of each event; `send(samples)`, `end()`; `over` when all is said. */
function socketOf(model, search, signal, told) {
  const query = new URLSearchParams({ model: model.name, rate: model.rate, ...search });
  const address = new URL(`${ROOT}/hear?${query}`, location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  const ready = new Promise((opened) => socket.addEventListener("open", opened));
  signal.addEventListener("abort", () => socket.close());
  const over = new Promise((done, failed) => {
    let last = null;
    socket.addEventListener("message", ({ data }) => {
      last = JSON.parse(data);
      if (last.event === "error") failed(new Refused(0, last.error));
      else told(last);
    });
    socket.addEventListener("close", async () => {
      if (last !== null && last.event === "done") return done();
      failed(last === null && !signal.aborted ? await refusedSound(query) : new Refused(0, "The service hears this sound no longer: the connection was closed."));
    });
  });
  over.catch(() => {});
  const send = async (samples) => {
    await ready;
    while (socket.bufferedAmount > QUEUED) await new Promise((later) => setTimeout(later, 20));
    if (socket.readyState === WebSocket.OPEN) socket.send(samples);
  };
  return { send, end: async () => (await ready, socket.readyState === WebSocket.OPEN && socket.send("end")), over };
}

/** What was said so far: stretches that will not change, with the times of their words, and what may still change. */
function transcript() {
  const stretches = h("ol", { class: "stretches" }), changing = h("p", { class: "output changing", dir: "auto" });
  const state = h("p", { class: "help" });
  const time = (seconds) => `${seconds.toFixed(2)} s`;
  const word = (one) =>
    h("span", { title: `${time(one.start)} to ${time(one.end)}, ${percent(one.score)}` }, one.word, " ");
  return {
    parts: [stretches, changing, state],
    told: (event) => {
      if (event.event === "partial") changing.textContent = event.text;
      if (event.event === "final") {
        changing.textContent = "";
        stretches.append(h("li", {}, h("small", {}, `${event.start.toFixed(1)} - ${time(event.end)}`), h("p", { class: "output", dir: "auto" }, ...event.words.map(word))));
      }
      if (event.event === "done" && !stretches.children.length) changing.textContent = "(nothing was said)";
    },
    say: (sentence) => (state.textContent = sentence),
  };
}

/** `recurra=3,Kaldi=2` as an object; what is wrong in it, the service says of a sound that comes, and this of others. */
function hotWords(line) {
  const pairs = line.split(",").map((one) => [one.slice(0, one.lastIndexOf("=")).trim(), Number(one.slice(one.lastIndexOf("=") + 1) || NaN)]);
  if (pairs.some(([word, nats]) => !word || !(nats > 0))) throw new Refused(0, "Hot words: expected words with their nats, such as recurra=3,Kaldi=2.");
  return Object.fromEntries(pairs);
}

function hearingView(model) {
  const comes = model.hears.length === 0;
  const beam = h("select", {}, ...[1, 4, 8, 16].map((n) => h("option", { value: n }, n === 1 ? "1 (greedy)" : `${n}`)));
  const hot = h("input", { type: "text", maxlength: 2000, size: 18, placeholder: "recurra=3,Kaldi=2", spellcheck: "false" });
  /** The search that is wished for: parameters of an address. */
  const search = () => ({ ...(Number(beam.value) > 1 ? { beam: beam.value } : {}), ...(hot.value.trim() ? { hot_words: hot.value.trim() } : {}) });
  /** The same as options of /predict. */
  const options = () => ({ ...(Number(beam.value) > 1 ? { beam: Number(beam.value) } : {}), ...(hot.value.trim() ? { hot_words: hotWords(hot.value) } : {}) });
  let stop = null;

  /** Hear what `source(send, signal)` sends; whatever ends it, the source hears of it. Returns when that is over. */
  const hear = (source) =>
    latest(async (signal) => {
      const ends = new AbortController();
      signal.addEventListener("abort", () => ends.abort());
      await follow(source, signal, ends.signal).finally(() => ends.abort());
    });

  const follow = async (source, signal, ends) => {
    const shown = transcript();
    show(...shown.parts);
    note(comes ? [] : [`This model needs the end first: ${model.hears[0]}`]);
    if (comes) {
      const socket = socketOf(model, search(), signal, shown.told);
      await Promise.race([source(socket.send, ends, shown), socket.over]);
      await socket.end();
      await socket.over;
    } else {
      const parts = [];
      await source(async (samples) => parts.push(samples), ends, shown);
      const whole = new Int16Array(parts.reduce((sum, one) => sum + one.length, 0));
      parts.reduce((at, one) => (whole.set(one, at), at + one.length), 0);
      const body = { model: model.name, records: [{ [model.input]: wavOf(whole, model.rate) }], options: options() };
      const found = (await asked("/predict", body, signal)).predictions[0];
      if (found.words.length)
        shown.told({ event: "final", words: found.words, start: found.words[0].start, end: found.words[found.words.length - 1].end });
      shown.told({ event: "done" });
    }
    $("result").dataset.heard = "yes";
  };

  const record = h("button", { type: "button", class: "main", onclick: () => (stop ? stop() : start()) }, "Record");
  const start = () =>
    hear(async (send, signal, shown) => {
      delete $("result").dataset.heard;
      let heard = 0;
      const close = await microphone(model.rate, (samples) => {
        heard += samples.length;
        shown.say(`Recording, ${(heard / model.rate).toFixed(1)} s`);
        send(samples);
      });
      if (signal.aborted) return close(); // while the browser asked for leave
      record.textContent = "Stop";
      $("result").classList.remove("waiting");
      await new Promise((done) => {
        stop = done;
        signal.addEventListener("abort", done);
      });
      await close();
      shown.say(`${(heard / model.rate).toFixed(1)} s were recorded.`);
    }).finally(() => {
      stop = null;
      record.textContent = "Record";
    });

  const read = (file) =>
    hear(async (send, signal, shown) => {
      delete $("result").dataset.heard;
      const samples = await soundOf(file, model.rate).catch(() => {
        throw new Refused(0, `${file.name}: is no sound that this browser can read.`);
      });
      const size = Math.round((model.rate * MESSAGE) / 100);
      for (let at = 0; at < samples.length && !signal.aborted; at += size) await send(samples.slice(at, at + size));
      shown.say(`${file.name}: ${(samples.length / model.rate).toFixed(1)} s`);
    });
  const file = h("input", { type: "file", accept: "audio/*", onchange: () => file.files.length && read(file.files[0]) });
  const zone = h("label", {
    class: "zone",
    ondragover: (event) => event.preventDefault(),
    ondrop: (event) => (event.preventDefault(), event.dataTransfer.files.length && read(event.dataTransfer.files[0])),
  }, "or drop a sound file here ", file);
  const hint = h("span", { class: "hint" }, comes ? "The text comes while you speak" : "The text comes when you stop");
  const width = h("label", { title: model.lm ? "A language model stands beside a beam of several texts." : "" }, model.lm ? "Beam, with the language model" : "Beam", beam);
  return { prompt: "Speech", controls: [record, zone, width, h("label", {}, "Hot words", hot), hint], silent: true, typed: () => {}, entered: () => {} };
}

views.set("hearing", hearingView);

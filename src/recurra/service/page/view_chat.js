// Shown behind page.js, whose helpers it uses.

/** A conversation: what was said above, what is typed below; a reply grows token by token, and can be stopped. */
views.set("chat", (model) => {
  const temperature = h("input", { type: "range", value: 0, min: 0, max: 1.5, step: 0.1, "aria-label": "Temperature" });
  const shown = h("span", {}, "0");
  const always = h("input", { type: "checkbox" });
  const send = h("button", { class: "main", type: "submit" }, "Send");
  const stop = h("button", { type: "button", hidden: "", onclick: () => running.abort() }, "Stop");
  const anew = h("button", { type: "button", onclick: () => begin() }, "New chat");
  const talk = h("div", { class: "talk", role: "log", "aria-label": "Conversation" });
  const drawing = h("label", { hidden: "" }, "Temperature", temperature, shown);
  const insisting = h("label", { hidden: "" }, always, "Always reply");
  let chat = null;
  temperature.addEventListener("input", () => (shown.textContent = temperature.value));

  /** Leave the conversation; the service forgets it. */
  function begin() {
    running.abort();
    if (chat) forget(`/chats/${encodeURIComponent(chat.chat)}`);
    chat = null;
    talk.replaceChildren();
    show();
    note([]);
    complain(null);
  }

  async function open(signal) {
    chat = await asked("/chats", { model: model.name }, signal);
    drawing.hidden = !chat.options.includes("temperature");
    insisting.hidden = chat.threshold === null;
    if (chat.threshold !== null) {
      note([`Nothing is answered whose nearness to training is under ${chat.threshold.toFixed(3)}, which was chosen on dev.`]);
    }
  }

  function put(kind, words) {
    const turn = h("p", { class: `turn ${kind}`, dir: "auto" }, words);
    talk.append(turn);
    turn.scrollIntoView({ block: "nearest" });
    return turn;
  }

  function options() {
    const found = {};
    if (always.checked) found.always = true;
    const value = Number(temperature.value);
    if (chat.options.includes("temperature") && value > 0) Object.assign(found, { temperature: value, seed: Math.floor(Math.random() * 2 ** 31) });
    return found;
  }

  /** The events of one turn; a conversation that was forgotten meanwhile begins anew, once. */
  async function said(words, signal, heard, again = true) {
    if (!chat) await open(signal);
    try {
      await listen(`/chats/${encodeURIComponent(chat.chat)}`, { text: words, options: options() }, signal, heard);
    } catch (error) {
      if (error.status !== 404 || !again) throw error;
      chat = null;
      note(["The conversation was forgotten, as nothing was said for a while; this is a new one."]);
      await said(words, signal, heard, false);
    }
  }

  async function entered() {
    const words = text().trim();
    if (!words || send.disabled) return;
    $("text").value = "";
    send.disabled = true;
    stop.hidden = false;
    await latest(async (signal) => {
      show(talk);
      put("mine", words);
      const reply = put("theirs writing", "");
      const end = () => reply.classList.remove("writing");
      signal.addEventListener("abort", end);
      await said(words, signal, (name, data) => {
        if (name === "error") throw new Refused(0, data.error);
        reply.textContent = data.text;
        if (name !== "done") return;
        if (data.refused) reply.classList.add("refused");
        const source = data.source ? `, ${data.source}` : "";
        reply.append(h("small", {}, `nearness ${data.nearness.toFixed(3)}${source}`));
      });
      end();
    });
    if (talk.childElementCount) show(talk);
    send.disabled = false;
    stop.hidden = true;
    $("text").focus();
  }

  return {
    prompt: "Say something",
    controls: [send, stop, anew, drawing, insisting, h("span", { class: "hint" }, "Enter sends, Shift+Enter is a new line")],
    typed: () => {},
    entered,
  };
});

/** Tell the service that something is not needed any more; whether it hears is of no matter. */
function forget(path) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  fetch(ROOT + path, { method: "DELETE", headers }).catch(() => {});
}

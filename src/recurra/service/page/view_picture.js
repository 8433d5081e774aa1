// Shown behind page.js, whose helpers it uses.

// Bytes of a picture that is sent, as the service takes them; pixels of the side of one that is drawn, and of a small one.
const MOST = 12_000_000, LARGE = 320, SMALL = 128, THUMBNAIL = 160;

/** The bytes of a file as base64. */
async function base64Of(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const parts = [];
  for (let k = 0; k < bytes.length; k += 0x8000) parts.push(String.fromCharCode(...bytes.subarray(k, k + 0x8000)));
  return btoa(parts.join(""));
}

/** A picture on a canvas, no larger than `side`; weights (rows, columns) of a grid, 0..1: as bright as each place counts. */
function drawn(bitmap, side, words, weights = null) {
  const scale = Math.min(side / bitmap.width, side / bitmap.height);
  const [width, height] = [bitmap.width, bitmap.height].map((size) => Math.max(1, Math.round(size * scale)));
  const canvas = h("canvas", { width, height, role: "img", "aria-label": words });
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0, width, height);
  if (!weights) return canvas;
  const most = Math.max(...weights.flat(), 1e-12);
  weights.forEach((row, y) => row.forEach((weight, x) => {
    context.fillStyle = `rgba(0, 0, 0, ${(0.85 * (1 - weight / most)).toFixed(3)})`;
    const [left, top] = [Math.round((x * width) / row.length), Math.round((y * height) / weights.length)];
    const [right, foot] = [Math.round(((x + 1) * width) / row.length), Math.round(((y + 1) * height) / weights.length)];
    context.fillRect(left, top, right - left, foot - top);
  }));
  return canvas;
}

/** What each word looked at, beside one another. */
function lookedAt(bitmap, attention) {
  const [rows, columns] = attention.grid;
  const grid = (weights) => Array.from({ length: rows }, (_, y) => weights.slice(y * columns, (y + 1) * columns));
  return h("div", { class: "pictures" }, ...attention.rows.map((word, k) =>
    h("figure", { class: "seen" }, drawn(bitmap, SMALL, `what ${word} looked at`, grid(attention.weights[k])), h("figcaption", {}, word))));
}

/** Where a picture is dropped, pasted or chosen; `taken(file)` hears of it. */
function pictureZone(words, taken) {
  const take = (given) => given && taken(given);
  const chosen = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp", "aria-label": "Picture", onchange: () => take(chosen.files[0]) });
  const zone = h("label", { class: "wide zone" }, words, chosen);
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => (event.preventDefault(), take(event.dataTransfer.files[0])));
  zone.addEventListener("paste", (event) => take(event.clipboardData.files[0]));
  zone.tabIndex = 0;
  return zone;
}

/** The bytes of a picture as the service takes them. */
async function sentPicture(file) {
  if (file.size > MOST) throw new Refused(0, `${file.name}: has ${file.size.toLocaleString()} bytes; a picture can have ${MOST.toLocaleString()}.`);
  return base64Of(file);
}

/** A picture that is dropped, pasted or chosen, and what is said of it. */
function pictureView(model) {
  let file = null;
  const more = beside(model, settled(() => answer(), 400));
  const zone = pictureZone("Drop a picture here, paste it, or choose a file: PNG, JPEG or WebP.", (given) => ((file = given), answer()));
  const answer = () =>
    latest(async (signal) => {
      const values = more.values();
      if (!file || Object.values(values).some((value) => !value.trim())) return show(), note([]);
      const record = { [model.input]: await sentPicture(file), ...values };
      const options = model.options.includes("attention") ? { attention: true } : {};
      const found = await asked("/predict", { model: model.name, records: [record], options }, signal);
      const said = found.predictions[0];
      const bitmap = await createImageBitmap(file);
      const words = said.label !== undefined ? said.label : said.output === undefined ? Object.entries(said.numbers).map(([name, value]) => `${name} ${+value.toPrecision(4)}`).join(", ") : said.output;
      const share = said.score === undefined ? "" : ` (${percent(said.score)})`;
      const caption = h("figcaption", {}, h("b", { dir: "auto" }, words), share);
      show(h("figure", { class: "seen" }, drawn(bitmap, LARGE, words), caption), ...(said.attention ? [lookedAt(bitmap, said.attention)] : []));
      note(found.notes);
    });
  return { prompt: "Picture", silent: true, controls: [zone, ...more.controls], typed: () => {}, entered: answer };
}
views.set("picture", pictureView);

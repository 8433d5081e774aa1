// An ONNX file in onnxruntime-node: node onnx_node.js FILE REQUESTS, where REQUESTS is JSON, a list of inputs by name, each
// {dims, type, data}. Prints the outputs likewise. `onnx_parity.py --node` installs the package and calls this.
const fs = require("fs");
const ort = require("onnxruntime-node");

const tensor = ({ dims, type, data }) =>
  new ort.Tensor(type, type === "int64" ? BigInt64Array.from(data, BigInt) : Float32Array.from(data.map(Number)), dims);

async function main() {
  const [file, requests] = process.argv.slice(2);
  const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const answers = [];
  for (const request of JSON.parse(fs.readFileSync(requests, "utf8"))) {
    const inputs = Object.fromEntries(Object.entries(request).map(([name, value]) => [name, tensor(value)]));
    const found = await session.run(inputs);
    answers.push(session.outputNames.map((name) => ({ dims: found[name].dims, data: Array.from(found[name].data, Number) })));
  }
  console.log(JSON.stringify(answers));
}

main();

"use strict";

/** Hands the numbers of the microphone on, `size` at a time. */
class Recorder extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.block = new Float32Array(processorOptions.size);
    this.filled = 0;
  }

  process([[channel]]) {
    for (let at = 0; channel && at < channel.length; ) {
      const some = Math.min(channel.length - at, this.block.length - this.filled);
      this.block.set(channel.subarray(at, at + some), this.filled);
      this.filled += some;
      at += some;
      if (this.filled === this.block.length) {
        this.port.postMessage(this.block);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);

// Bytes on their way: gzip, base64, files of the server, and calls that may never be answered.
import { server } from "../view/page.js";

const PATIENCE = 60000; // milliseconds

async function through(stream, bytes) {
  const changed = new Blob([bytes]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(changed).arrayBuffer());
}

function base64(bytes) {
  return new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.readAsDataURL(new Blob([bytes]));
  });
}

// values: Uint16Array, sent little endian as every machine that runs a browser today has it.
export async function packLabels(values) {
  return base64(await through(new CompressionStream("gzip"), values));
}

export async function unpackLabels(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const raw = await through(new DecompressionStream("gzip"), bytes);
  return new Uint16Array(raw.buffer, 0, raw.length >> 1);
}

export async function fetched(file) {
  const answer = await fetch(file.url);
  if (!answer.ok) throw new Error("The server no longer has a file of this photo.");
  return answer.blob();
}

export async function fetchBytes(file) {
  return through(new DecompressionStream("gzip"), await fetched(file));
}

export async function fetchLabels(file) {
  const raw = await fetchBytes(file);
  return new Uint16Array(raw.buffer, 0, raw.length >> 1);
}

// Resolves to undefined when the server is gone, failed or says nothing in time.
export async function call(name, request) {
  let timer = 0;
  const late = new Promise((done) => (timer = setTimeout(done, PATIENCE)));
  try {
    return await Promise.race([server[name](request), late]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

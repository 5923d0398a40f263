// Saves reloads on the first page, and brings the microphone. Every page works without it.
"use strict";

const MOST_RECORDED_S = 15;
const LEAST_RECORDED_S = 6; // the service wants 5, and recorders lose a little at both ends

const form = document.getElementById("ask");
if (form) startIdentify(form);

const player = document.getElementById("player");
const at = /^#at=(\d+)$/.exec(location.hash);
if (player && at) {
  player.addEventListener("loadedmetadata", () => { player.currentTime = Number(at[1]); }, { once: true });
  player.preload = "metadata";
}

function startIdentify(form) {
  const status = document.getElementById("status");
  const answer = document.getElementById("answer");
  const field = document.getElementById("file");
  const recordButton = document.getElementById("record");
  let busy = false;

  const say = (words) => { status.textContent = words; };

  async function ask(file, name) {
    if (busy) return;
    busy = true;
    form.classList.add("busy");
    answer.replaceChildren();
    say(`Listening to ${name}…`);
    try {
      const body = new FormData();
      body.append("mark", form.elements.mark.value);
      body.append("file", file, name);
      let reply = await fetch(form.action, { method: "POST", body });
      let found = await answerIn(reply);
      while (found.dataset.waits) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        reply = await fetch(reply.url);
        found = await answerIn(reply);
      }
      answer.replaceChildren(...found.childNodes);
      for (const heading of answer.querySelectorAll("h1")) lower(heading);
      say("");
    } catch {
      say("The service cannot be reached, or the upload broke off. Try again.");
    } finally {
      busy = false;
      form.classList.remove("busy");
      form.reset();
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.files.length) ask(field.files[0], field.files[0].name);
  });
  field.addEventListener("change", () => form.requestSubmit());

  // The whole page takes a drop: whoever misses the zone does not lose the page to the file.
  addEventListener("dragover", (event) => { event.preventDefault(); form.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) form.classList.remove("over"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (file) ask(file, file.name);
    else say("That was no file.");
  });

  if (navigator.mediaDevices && window.MediaRecorder) {
    recordButton.hidden = false;
    recordButton.addEventListener("click", () => record(recordButton, say, ask));
  } else if (!isSecureContext) {
    document.getElementById("insecure").hidden = false;
  }
}

// The answer on a page the server wrote: its text is escaped already, and nothing in it can run.
async function answerIn(reply) {
  const page = new DOMParser().parseFromString(await reply.text(), "text/html");
  const found = page.getElementById("answer");
  if (!found) throw new Error("no answer");
  return document.adoptNode(found);
}

function lower(heading) {
  const second = document.createElement("h2");
  second.append(...heading.childNodes);
  heading.replaceWith(second);
}

let recorder = null;

async function record(button, say, ask) {
  if (recorder) {
    recorder.stop();
    return;
  }
  let stream;
  try {
    // What a telephone call needs is what takes the music out of a recording.
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    stream = await navigator.mediaDevices.getUserMedia({ audio });
  } catch {
    say("The microphone could not be used: allow it for this page, or record with another program.");
    return;
  }
  const pieces = [];
  const words = button.textContent;
  let seconds = 0;
  recorder = new MediaRecorder(stream);
  recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
  const tick = () => {
    const early = seconds < LEAST_RECORDED_S;
    button.disabled = early;
    button.textContent = early ? `Recording… ${seconds} s` : `Stop and name it (${seconds} s)`;
    if (seconds >= MOST_RECORDED_S) recorder.stop();
    seconds += 1;
  };
  const ticking = setInterval(tick, 1000);
  recorder.addEventListener("stop", () => {
    clearInterval(ticking);
    for (const track of stream.getTracks()) track.stop();
    const type = recorder.mimeType;
    const ending = type.includes("mp4") ? "m4a" : type.includes("ogg") ? "ogg" : "webm";
    recorder = null;
    button.disabled = false;
    button.textContent = words;
    ask(new Blob(pieces, { type }), `recording.${ending}`);
  });
  recorder.start();
  say("Hold the microphone to the music.");
  tick();
}

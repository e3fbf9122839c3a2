// What screen readers hear: the answer in whole sentences, every few seconds at most, and what happens to it.

const EVERY_MS = 2500;

export class Speech {
  constructor(spoken, status) {
    Object.assign(this, { spoken, status, said: 0, timer: 0 });
  }

  begin() {
    this.said = 0;
    this.spoken.textContent = "";
  }

  tell(text) {
    this.status.textContent = text;
  }

  // The text as far as it has come; at the end all that is left.
  follow(text, ended) {
    this.text = text;
    if (ended) this.say(text.length);
    else if (!this.timer) this.timer = setTimeout(() => this.say(lastSentence(this.text)), EVERY_MS);
  }

  say(upto) {
    clearTimeout(this.timer);
    this.timer = 0;
    if (upto <= this.said) return;
    this.spoken.textContent = this.text.slice(this.said, upto).replace(/\[\d+\]/g, "");
    this.said = upto;
  }
}

function lastSentence(text) {
  return Math.max(text.lastIndexOf(". "), text.lastIndexOf("! "), text.lastIndexOf("? "), text.lastIndexOf("\n")) + 1;
}

// Conversations as this browser keeps them: bounded, apart for each key, gone with one click.

const MOST = 40;
const MOST_CHARS = 2_000_000;
const OPEN = "askfleet.open";

export class History {
  constructor(key) {
    this.place = `askfleet.history.${fingerprint(key)}`;
  }

  all() {
    try {
      return JSON.parse(localStorage.getItem(this.place)) || [];
    } catch {
      return [];
    }
  }

  find(id) {
    return this.all().find((conversation) => conversation.id === id);
  }

  save(conversation) {
    const others = this.all().filter(({ id }) => id !== conversation.id);
    let kept = [conversation, ...others].slice(0, MOST);
    for (;;) {
      const text = JSON.stringify(kept);
      try {
        if (text.length > MOST_CHARS && kept.length > 1) throw new Error("too long");
        localStorage.setItem(this.place, text);
        return;
      } catch {
        // Too long for us, or for the browser: the oldest goes.
        if (kept.length === 1) return;
        kept = kept.slice(0, -1);
      }
    }
  }

  clear() {
    localStorage.removeItem(this.place);
  }
}

// Which conversation this tab shows, so that a reload goes on with it.
export const openConversation = {
  read: () => sessionStorage.getItem(OPEN) || "",
  write: (id) => (id ? sessionStorage.setItem(OPEN, id) : sessionStorage.removeItem(OPEN)),
};

// Tells keys apart without keeping them (FNV-1a); crypto.subtle is not there without TLS.
function fingerprint(text) {
  let hash = 0x811c9dc5;
  for (const char of text) hash = Math.imul(hash ^ char.codePointAt(0), 0x01000193) >>> 0;
  return hash.toString(16);
}

// The code that an authenticator app shows now for the secret in this page (RFC 6238, SHA-1).
const done = arguments[0];
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const secret = [...document.querySelector("[name=secret]").value];
const bits = secret.map((letter) => letters.indexOf(letter).toString(2).padStart(5, "0")).join("");
const bytes = new Uint8Array(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
const step = new DataView(new ArrayBuffer(8));
step.setBigUint64(0, BigInt(Math.floor(Date.now() / 30_000)));
const code = (mac) => {
  const view = new DataView(mac);
  const number = view.getUint32(view.getUint8(19) & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
};
crypto.subtle
  .importKey("raw", bytes, { name: "HMAC", hash: "SHA-1" }, false, ["sign"])
  .then((key) => crypto.subtle.sign("HMAC", key, step.buffer))
  .then(
    (mac) => done(code(mac)),
    (error) => done(`no code: ${error}`),
  );

'use strict';

// Which of the page's forms stands for which path, and which route of the server answers it.
const routes = {
  'verify-email': 'verify-email',
  'reset-password': 'reset-password',
  'magic-login': 'login/magic-link/verify',
  'recover-passkey': 'recover/passkey',
};

// Routes that ask a device for a passkey, and where its answer goes.
const ceremonies = {
  'register/passkey': 'verify',
  'login/passkey': 'verify',
  'account/passkey': 'verify',
  'recover/passkey': 'complete',
};

const name = location.pathname.split('/').pop();
const form = document.getElementById(name in routes ? name : 'account');
const said = document.getElementById('said');
const token = document.getElementById('token');
form.hidden = false;

const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

async function post(route, body) {
  const headers = { 'Content-Type': 'application/json' };
  if (token.value) headers.Authorization = `Bearer ${token.value}`;
  const response = await fetch(`api/${route}`, { method: 'POST', headers, body: JSON.stringify(body) });
  return { ok: response.ok, ...(await response.json()) };
}

// What the device says to the server's question, as the server reads it.
async function ask(options) {
  const publicKey = { ...options, challenge: bytes(options.challenge) };
  if (options.user) {
    publicKey.user = { ...options.user, id: bytes(options.user.id) };
    publicKey.excludeCredentials = (options.excludeCredentials ?? []).map((one) => ({ ...one, id: bytes(one.id) }));
  }
  const given = await navigator.credentials[options.user ? 'create' : 'get']({ publicKey });
  const response = {};
  for (const field of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
    if (given.response[field]) response[field] = text(given.response[field]);
  }
  return { id: given.id, rawId: text(given.rawId), type: given.type, response };
}

async function passkey(route, body) {
  const { ok, ...question } = await post(`${route}/options`, body);
  if (!ok) return question;
  let credential;
  try {
    credential = await ask(question.options ?? question);
  } catch {
    return { error: 'The browser gave no passkey.' };
  }
  return post(`${route}/${ceremonies[route]}`, { ...body, credential });
}

async function act(route, body) {
  said.textContent = '…';
  try {
    // The passkeys of lost ones are asked for by mail first: only the mail's own page has a token to go on with.
    const answer = await (route in ceremonies && !body.lost ? passkey : post)(route, body);
    const details = (answer.details ?? []).map((detail) => detail.message).join('; ');
    said.textContent = answer.message ?? ([answer.error, details].filter(Boolean).join(': ') || 'Signed in.');
    if (answer.token) {
      token.value = answer.token;
      document.getElementById('got').hidden = false;
    }
  } catch {
    said.textContent = 'The server did not answer.';
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const body = Object.fromEntries(new FormData(form));
  const route = routes[name] ?? event.submitter.value;
  if (name in routes) body.token = new URLSearchParams(location.search).get('token') ?? '';
  else body.lost = route === 'recover/passkey';
  if (route.startsWith('register')) body.termsAccepted = true;
  act(route, body);
});

document.getElementById('add').addEventListener('click', () => act('account/passkey', {}));

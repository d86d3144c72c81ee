// A certified OpenID provider (oidc-provider from npm) with one way to sign in: any name, any password. The name is the e-mail address;
// one that begins with "unverified" has not been verified.
//
// Environment: PORT (0: any), HOST (of the issuer; localhost by default), CALLBACK (where it sends browsers back to), CLIENT_SECRET, CERTIFICATE
// and KEY (PEM files: it speaks TLS then), FOR_ANOTHER=1 (its ID tokens are for another client). Its keys are new with every start. It
// says its issuer in one line when it listens, and ends with its standard input.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import Provider from 'oidc-provider';

const { PORT = '0', HOST = 'localhost', CALLBACK, CLIENT_SECRET, CERTIFICATE, KEY, FOR_ANOTHER } = process.env;

const tls = CERTIFICATE && KEY ? { cert: readFileSync(CERTIFICATE), key: readFileSync(KEY) } : null;
let answer = (_, response) => response.writeHead(503).end();
const handle = (request, response) => answer(request, response);
const server = tls ? https.createServer(tls, handle) : http.createServer(handle);
server.listen(Number(PORT), '127.0.0.1');
await once(server, 'listening');
const issuer = `${tls ? 'https' : 'http'}://${HOST}:${server.address().port}`;

const client = (id) => ({
  client_id: id, client_secret: CLIENT_SECRET, redirect_uris: [CALLBACK], response_types: ['code'], grant_types: ['authorization_code'],
});
const signing = { ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), kid: randomBytes(4).toString('hex'), use: 'sig', alg: 'RS256' };
const provider = new Provider(issuer, {
  clients: [client('waystream'), client('another')],
  jwks: { keys: [signing] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  pkce: { required: () => true },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: id, email_verified: !id.startsWith('unverified') }),
  }),
  // Whoever has signed in is not asked for anything else.
  async loadExistingGrant(ctx) {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid email');
    await grant.save();
    return grant;
  },
});

if (FOR_ANOTHER) {
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.oidc?.route !== 'token' || !ctx.body?.id_token) return;
    const said = JSON.parse(Buffer.from(ctx.body.id_token.split('.')[1], 'base64url').toString());
    const token = new provider.IdToken({ sub: said.sub }, { ctx, client: await provider.Client.find('another') });
    token.scope = 'openid';
    token.set('nonce', said.nonce);
    ctx.body.id_token = await token.issue({ use: 'idtoken' });
  });
}

answer = provider.callback();
process.stdout.write(`${issuer}\n`);
process.stdin.resume().on('end', () => process.exit());

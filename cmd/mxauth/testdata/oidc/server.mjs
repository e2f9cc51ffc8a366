// A certified OpenID provider on loopback, for the end-to-end tests. It prints
// its issuer as the first line and serves until its stdin closes, so that it
// cannot outlive the test that started it.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    scopes: ['openid', 'offline_access', 'email'],
    cookies: { keys: ['only-for-tests'] },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    ttl: {
      AccessToken: Number(process.env.ACCESS_TTL || 300),
      DeviceCode: Number(process.env.CODE_TTL || 600),
    },
    features: {
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true },
      registration: { enabled: true },
    },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));

// A certified OpenID provider on loopback, for the end-to-end tests. It prints
// its issuer as the first line and serves until its stdin closes, so that it
// cannot outlive the test that started it. Then it prints every secret that it
// gives out, so that the tests can look for them where they must not be.
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
  provider.use(async (ctx, next) => {
    await next();
    for (const [name, value] of Object.entries(Object(ctx.body))) {
      if (/_token$|_code$|_secret$/.test(name) && typeof value === 'string') console.log(`secret ${name} ${value}`);
    }
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));

"""The form of a key."""

from service.workspaces.keys import digest_of, is_key, is_same, new_key, prefix_of


def test_a_key_holds_256_random_bits_beside_its_prefix() -> None:
    keys = {new_key() for _ in range(100)}
    secrets = {key[len(prefix_of(key.encode())) + 1 :] for key in keys}

    assert len(keys) == len(secrets) == 100
    assert {len(secret) for secret in secrets} == {43}  # 32 bytes in base64 without padding
    assert all(is_key(key.encode()) for key in keys)


def test_the_prefix_tells_nothing_of_the_secret() -> None:
    key = new_key()

    assert prefix_of(key.encode()) == key[:15]
    assert key[15] == "_"


def test_only_the_very_same_key_is_the_same() -> None:
    key = new_key().encode()
    sha256 = digest_of(key).hex()

    assert is_same(key, sha256)
    assert not is_same(key[:-1] + b"A" + key[-1:], sha256)
    assert not is_same(new_key().encode(), sha256)

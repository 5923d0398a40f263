"""Which files may hold sound, and what an ffmpeg needs to hear them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """What it takes to hear files of one extension: a demuxer, and decoders for what is usually inside."""

    demuxer: str
    decoders: tuple[str, ...]


_PCM = ("pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_u8")
_PCM_BIG = ("pcm_s16be", "pcm_s24be")
_MOV = "mov,mp4,m4a,3gp,3g2,mj2"

DOCUMENTED: dict[str, Format] = {
    "wma": Format("asf", ("wmav1", "wmav2", "wmapro", "wmalossless")),
    "wav": Format("wav", _PCM),
    "opus": Format("ogg", ("opus",)),
    "ogg": Format("ogg", ("vorbis", "opus", "flac")),
    "mp3": Format("mp3", ("mp3float|mp3",)),
    "mp2": Format("mp3", ("mp2float|mp2",)),
    "m4a": Format(_MOV, ("aac", "alac")),
    "flac": Format("flac", ("flac",)),
    "amr": Format("amr", ("amrnb", "amrwb")),
    "alac": Format(_MOV, ("alac",)),
    "aiff": Format("aiff", _PCM_BIG),
    "aif": Format("aiff", _PCM_BIG),
    "aac": Format("aac", ("aac",)),
    "3gpp": Format(_MOV, ("amrnb", "aac")),
    "3gp": Format(_MOV, ("amrnb", "aac")),
}
"""The formats of Table 1 of the AudioTag document (API 2.5), in its order."""

OTHERS: dict[str, Format] = {
    "mp1": Format("mp3", ("mp1float|mp1",)),
    "m4b": Format(_MOV, ("aac",)),
    "m4r": Format(_MOV, ("aac",)),
    "3g2": Format(_MOV, ("aac",)),
    "oga": Format("ogg", ("vorbis", "opus", "flac")),
    "spx": Format("ogg", ("libspeex|speex",)),
    "ac3": Format("ac3", ("ac3",)),
    "eac3": Format("eac3", ("eac3",)),
    "dts": Format("dts", ("dca",)),
    "aifc": Format("aiff", _PCM_BIG),
    "ape": Format("ape", ("ape",)),
    "wv": Format("wv", ("wavpack",)),
    "mpc": Format("mpc", ("mpc7", "mpc8")),
    "tta": Format("tta", ("tta",)),
    "tak": Format("tak", ("tak",)),
    "dsf": Format("dsf", ("dsd_lsbf_planar",)),
    "au": Format("au", _PCM_BIG),
    "caf": Format("caf", ("alac", "aac")),
    "w64": Format("w64", _PCM),
    "mka": Format("matroska,webm", ("vorbis", "opus", "flac", "aac", "ac3")),
    "mkv": Format("matroska,webm", ("vorbis", "opus", "flac", "aac", "ac3")),
    "webm": Format("matroska,webm", ("vorbis", "opus")),
    "mp4": Format(_MOV, ("aac",)),
    "m4v": Format(_MOV, ("aac",)),
    "mov": Format(_MOV, ("aac", "pcm_s16le")),
    "avi": Format("avi", ("mp3float|mp3", "pcm_s16le", "ac3")),
    "flv": Format("flv", ("mp3float|mp3", "aac")),
    "ts": Format("mpegts", ("mp2float|mp2", "aac", "ac3")),
    "mts": Format("mpegts", ("ac3",)),
    "m2ts": Format("mpegts", ("ac3", "dca")),
    "mpg": Format("mpeg", ("mp2float|mp2", "ac3")),
    "mpeg": Format("mpeg", ("mp2float|mp2", "ac3")),
    "vob": Format("mpeg", ("ac3", "mp2float|mp2")),
    "wmv": Format("asf", ("wmav2",)),
    "asf": Format("asf", ("wmav2",)),
    "rm": Format("rm", ("cook",)),
}
"""Other containers people keep music in; the document does not name them, but what we send is PCM."""

EXTENSIONS: frozenset[str] = frozenset(DOCUMENTED) | frozenset(OTHERS)
"""File extensions that are worth opening: lower case, without the dot."""

DEMUXERS: tuple[str, ...] = tuple(
    sorted(
        {name for known in (*DOCUMENTED.values(), *OTHERS.values()) for name in known.demuxer.split(",")}
        | {"mpc8", "xwma", "amrnb", "amrwb", "mpegvideo"}
    )
)
"""The only container formats that may be opened, whatever a file is called. Playlists and others that can
name further files or addresses (hls, concat, dash, sdp, image2, lavfi...) are not among them."""

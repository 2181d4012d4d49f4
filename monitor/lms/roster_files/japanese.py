"""Whether text that was decoded as Japanese is Japanese, or bytes of another encoding."""

import re
from itertools import islice

# Kanji that are frequent in names, headings and classes. Of text in the wrong encoding a few per
# cent are among them, of a list of Japanese people about two thirds.
_FREQUENT = frozenset(
    "田山川木本村藤井中小大野原松島高橋林石森池前佐伊加近斉斎齋齊渡辺邊邉阿部長谷西東南北上下内外岡崎福清水河久保"
    "吉青今金平竹酒坂桜菊千葉岩熊古新宮後土沢澤浜濱三四五六七八九十一二百萬万星関安柴丸杉和服武市荒横黒白赤増永菅"
    "鈴工遠須浅秋馬早香飯堀尾栗奥片樋津成矢寺児玉神戸望月遠根生富髙﨑國広廣塚江口瀬瀨鳥羽角門沼倉相馬松倉笠柳"
    "子美太郎男夫雄介助人之也哉樹貴弘浩宏博裕祐佑優勇悠友智知誠真直尚正昌信伸進純淳順俊駿隼翔翼陸空海陽葵蓮湊"
    "結愛花華菜奈那莉里理梨沙紗彩綾亜明朗恵絵里香織音葉桃希望未来実心咲春夏秋冬雪光輝義則孝幸行康健賢一二三次"
    "郁穂歩由有佳果夕貴代世紀典徳敏英栄秀隆龍竜大輔平良涼亮遼諒怜玲礼凛凜楓颯斗叶暖洋仁拓匠創聡総悟司史文章学"
    "生徒番号籍氏名前姓組班年度前期後期科課程部署所属組織役割教員師助手履修受講者授業講義情報工電機械理数学級出席"
    "合計平均点成績評定用語語英国社会体育高等専門校大院研究室日月火水木金土時限全員人数男女性別備考欄曜県都府道市"
)
_KANA = re.compile(r"[ぁ-ゖァ-ヺー々〆ヶ・、。「」〜～（）：！？　０-９Ａ-Ｚａ-ｚ－＿＠．／]")
_WIDE = re.compile(r"[^\x00-\x7f\uff61-\uff9f]")
# Half-width katakana as it is written: sound marks follow only the syllables that take them.
_HALF_WIDTH = re.compile(
    r"(?:[\uff76-\uff84\uff8a-\uff8e\uff73]\uff9e|[\uff8a-\uff8e]\uff9f|[\uff66-\uff9d])+"
)
_HALF_WIDTH_RUN = re.compile(r"[\uff61-\uff9f]+")
_TOUCHING = re.compile(r"[A-Za-z][\uff61-\uff9f]|[\uff61-\uff9f][A-Za-z]")
_LEAST_SHARE = 0.3  # of frequent characters
_SAMPLE = 100_000  # characters of which the share is counted
_SURE_SHARE, _SURE_COUNT = 0.7, 4


def is_plausible(text: str) -> bool:
    """Whether text, that an encoding of Japanese gave, is likely to be what was written."""
    if re.search("[\x80-\x9f\ue000-\uf8ff]", text) or _TOUCHING.search(text):
        return False
    half_width = _HALF_WIDTH_RUN.findall(text)
    if not all(_HALF_WIDTH.fullmatch(run) for run in half_width):
        return False
    wide, frequent = _counts(text)
    return frequent >= _LEAST_SHARE * wide if wide else bool(half_width)


def is_surely_japanese(text: str) -> bool:
    """Whether so many characters are frequent ones that it can't be by accident."""
    wide, frequent = _counts(text)
    return frequent >= _SURE_COUNT and frequent >= _SURE_SHARE * wide


def _counts(text: str) -> tuple[int, int]:
    """How many characters are beyond ASCII and half-width katakana, and how many are frequent."""
    wide = [each[0] for each in islice(_WIDE.finditer(text), _SAMPLE)]
    return len(wide), sum(each in _FREQUENT or _KANA.match(each) is not None for each in wide)

-- Kinds of errors: the line that names an error, without what differs from student to student.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 10) AS wanted \gset
\if :wanted

-- As much of an error as its kind needs, however long it is: a message names the error at its start, a
-- traceback at its end. From a megabyte on only the start is read, to spare unpacking the rest.
CREATE FUNCTION error_excerpt(error text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN octet_length(error) <= 2000 THEN error
        WHEN octet_length(error) > 1000000 THEN left(error, 2000)
        WHEN length(error) <= 2000 THEN error
        ELSE left(error, 500) || E'\n' || right(error, 1500)
    END
$$;

-- The text without terminals' escape sequences, also where a client wrote out their first character or
-- dropped it, and with a newline at each line's end.
CREATE FUNCTION without_escapes(shown text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(regexp_replace(shown, '(?x)
          (?: \u001b\[ | \u009b ) [0-?]* [\u0020-/]* [@-~]
        | \u001b [\]PX^_] [^\u0007\u001b\n]* (?: \u0007 | \u001b\\ )?
        | \u001b [\u0020-/]* [0-~]?
        | (?: \\x1[bB] | \\u001[bB] | \\033 | \\e | \^\[ | \u241b ) (?:
              \[ [0-9;?]* [A-Za-z]
            | \] [^\u0007\n\\]* (?: \u0007 | \\x07 | \\u0007 | \\007 | \\a
                | (?: \\x1[bB] | \\u001[bB] | \\033 | \\e | \^\[ | \u241b ) \\{1,2} )
          )
        | \[ [0-9]{1,3} (?: ; [0-9]{1,3} )* m
        | [\u0001-\u0008\u000b\u000c\u000e-\u001a\u001c-\u001f\u007f\u200b\u200e\u200f\ufeff]
    ', '', 'g'), '\r\n?', E'\n', 'g')
$$;

-- An error from the line that names it on, which is the last line that does so.
CREATE FUNCTION from_naming_line(error text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    -- Lines that name nothing: indented, ruled off, the code that Java's kernels show, or words about
    -- the traceback.
    nameless CONSTANT text := '(?x) ^ (?: (?:
          [\ \t] [^\n]*
        | [=~^*_\ \t-]*
        | \| [^\n]*
        | (?: Traceback\ \(most | During\ handling\ of\ the | The\ above\ exception
            | \[Previous\ line | An\ exception\ has\ occurred,\ use | """ ) [^\n]*
        ) \n )*';
    frames CONSTANT text := '(?wx) ^ .* ^ [\ \t]* (?:
          File\ (?: "[^"\n]*", | <[^>\n]*>, | [^\n]*:[0-9]+, )
        | (?: Cell | Input )\ In\ ? \[
        | <ipython-input
        | -+> \ ? [0-9]
        | (?: [A-Za-z]: )? [^:\n]* \. pyx? \ in \ [^\n]
        ) [^\n]* (?: \n | \Z )';
    -- R puts a space before its messages in Japanese.
    rest  text := regexp_replace(btrim(error, E'\n'), '^ (?=[^\n]*エラー)', '');
    named text;
BEGIN
    IF strpos(rest, E'\n') = 0 THEN
        RETURN rest;
    END IF;
    IF strpos(rest, 'Exception Group Traceback') > 0 THEN
        -- The group names the error. Those in it follow, below such a rule.
        rest := regexp_replace(rest, '\n *\+-\+-.*', '');
        rest := regexp_replace(rest, '^ *[|+] ?', '', 'ng');
    ELSIF rest ~ '^\|  (?:Error:|Exception )' THEN  -- JShell
        rest := regexp_replace(rest, '^\|  ?', '', 'ng');
    END IF;
    named := regexp_replace(rest, frames, '');
    IF length(named) < length(rest) THEN
        named := regexp_replace(named, nameless, '');
        IF named ~ '^\S' THEN
            RETURN named;
        END IF;
        -- The traceback's end is missing.
        RETURN COALESCE(
            substring(rest FROM '(?n)^(\S+) +Traceback \(most recent call last\)'),
            regexp_replace(rest, nameless, '')
        );
    END IF;
    IF strpos(rest, 'aused by') > 0 THEN  -- R's rlang, then Java and Julia
        rest := regexp_replace(rest, '^.*\nCaused by error(?: in [^\n]*)?:\s*(?:! )?', 'Error: ');
        rest := regexp_replace(rest, '^.*\n[ \t]*[Cc]aused by: ', '');
    END IF;
    RETURN regexp_replace(rest, nameless, '');
END $$;

-- The kind of an error: the line that names it, with an ellipsis for what differs from student to
-- student (names in quotes, numbers, paths, addresses), so that students' errors can be grouped. At most
-- 200 characters.
CREATE OR REPLACE FUNCTION normalised_error(error text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    -- What stands before the error's name.
    prefix CONSTANT text := '(?x) ^ (?:
          (?: ERROR | LoadError ) : \ + (?= \S )
        | Uncaught\ (?: \(in\ promise\)\ )?
        | Unhandled\ exception [.:] \ +
        | Exception\ (?: in\ thread\ "[^"]*"\ + )? (?= [a-z] [^\s:]* \. )
        | [^\s:]+ (?: : [0-9]+ ){1,2} : \ (?= (?: fatal\ )? error )
        | \( [0-9]+ , [0-9]+ \) : \ (?= error )
    )+';
    -- What stands after its message: the place, or a guess at what was meant.
    suffix CONSTANT text := '(?x)
          \s* \( (?: <[^>]*> | [^()]* ) , \ line\ [0-9]+ \) $
        | \s+ Traceback\ \(most\ recent\ call\ last\) .* $
        | (?<= \ not\ defined ) \ in\ ` [^`]* ` $
        | [.?]? \s* (?: Or\ did | Did )\ you\ (?: mean | forget\ to\ import ) \M .* $';
    quoted CONSTANT text := '(?x)
          (?<= Command\ ) '' .* '' (?= \ (?: returned | died | timed\ out ) )
        | (?<! [A-Za-z0-9_] ) [bBfFrRuU]{0,2} (?:
              '' (?: [^''\\] | \\. )* '' (?! [A-Za-z0-9_] )
            | " (?: [^"\\] | \\. )* " (?! [A-Za-z0-9_] )
            | '' [^'']* $ | " [^"]* $
          )
        | ` [^`]* ` | ` [^`'']* ''
        | ‘ [^‘’]* ’ | ‚ [^‘‚]* ‘ | “ [^“”]* ” | „ [^“”„]* [“”]
        | « [^«»]* » | ‹ [^‹›]* › | 「 [^「」]* 」 | 『 [^『』]* 』';
    -- Addresses on the web and of mail, objects, places in code, paths, names of files, code points,
    -- and numbers.
    varying CONSTANT text := '(?x)
          [A-Za-z] [A-Za-z0-9+.-]* :// [^\s"''<>()\[\]…]*
        | [A-Za-z0-9._%+-]+ @ [A-Za-z0-9-]+ (?: \. [A-Za-z0-9-]+ )+
        | < [^<>]* (?: 0x[0-9a-fA-F]+ | … ) [^<>]* >
        | < (?: ipython-input | cell\ line | string | stdin | unknown | module | text ) [^<>]* >
        | (?<! [A-Za-z0-9_] ) (?: [A-Za-z]: [\\/] | \\\\ ) (?: [^\\/:*?"<>|…]+ [\\/]+ )*
            [^\s\\/:*?"<>|…,;()\[\]]*
        | (?<! [^\s"''=,:(\[{<] ) (?: ~ [A-Za-z0-9_.-]* | \.\.? )? /
            (?: (?: home | Users ) / [^/:…]* / )? [^\s"''<>()\[\]{},:;…]+
        | [^\s"''<>()\[\]{},:;…/\\]+ (?: [/\\] [^\s"''<>()\[\]{},:;…/\\]+ )*
            \. (?: csv | tsv | txt | xlsx? | json | py | ipynb | [rR] | jl | java | cpp | js | sql
              | png | jpe?g | gif | svg | pdf | zip | html? | ya?ml | toml | pkl | npy | npz
              | parquet | db | sqlite | dat | h5 ) (?! [A-Za-z0-9_] )
        | U\+ [0-9A-F]{4,6}
        | (?<! [A-Za-z0-9_] ) [-+]? (?: 0x [0-9a-fA-F]+ | [0-9]+ (?: [.,:/_-] [0-9]+ )*
            (?: e [-+]? [0-9]+ )? | \. [0-9]+ ) [jJ]? (?: \ ? [KMGTkmgt] i? B )? (?! [A-Za-z0-9_] )';
    -- Names that a language does not quote.
    unquoted CONSTANT text := '(?x)
          (?<= ^ReferenceError:\ ) \S+ (?= \ is\ not\ defined )
        | (?<= ^TypeError:\ ) [^\s(]+ (?= \(\)\ (?: missing | takes | got )
            | \ is\ not\ (?: a\ function | a\ constructor | iterable ) )
        | (?<= no\ such\ table:\ | no\ such\ column:\ | no\ such\ function:\ ) \S+
        | (?<= ^UndefVarError:\ ) \S+ (?= \ not\ defined )
        | (?<= with\ url:\ ) \S+';
    -- Of tuples and lists neither the values matter nor how many there are.
    listed CONSTANT text := '(?x) (?<= [(\[{] )
        \s* (?: … | None ) (?: [,:;]? \s* (?: … | None | nan | \.\.\. ) )* ,? \s*
        (?= [)\]}] )';
    rest text := from_naming_line(without_escapes(error_excerpt(error)));
    kind text := btrim(split_part(rest, E'\n', 1), E' \t');
    name text;
BEGIN
    IF right(kind, 1) = ':' THEN
        kind := kind || ' ' || COALESCE(substring(rest FROM '\n\s*(?:! )?([^\n]+)'), '');
    END IF;
    kind := regexp_replace(kind, prefix, '');
    IF kind ~ 'エラー|^(?:Err|Fehler)' THEN  -- R in some of its languages: the call is the student's
        kind := regexp_replace(kind, '^(?:エラー|Erreur|Fehler|Errore|Erro)\s?:\s+', 'Error: ');
        kind := regexp_replace(kind, '^.*?でエラー\s?:\s*', 'Error: ');
        kind := regexp_replace(kind,
            '^(?:Err(?:or|eur|ore|o) (?:in|en|em|dans)|Fehler in|以下にエラー) ', 'Error in ');
        kind := regexp_replace(kind, '^Error in .*?[)`]\s?:\s+', 'Error: ');
        kind := regexp_replace(kind, '^Error in .*?:\s+', 'Error: ');
        kind := regexp_replace(kind, '^Error: [^\s:]+:[0-9]+:[0-9]+:\s+', 'Error: ');
    END IF;
    kind := regexp_replace(kind, '^RuntimeException: ((?:[a-zA-Z]\w*\.)+[^\s,]+), ', '\1: ');  -- JJava
    kind := regexp_replace(kind, '^(CompilationException): \[snippet: .*', '\1');
    kind := regexp_replace(kind,  -- modules and packages
        '^(?:[A-Za-z_][A-Za-z0-9_]*\.)+(?:\$JShell\$[0-9A-Z]+\$)?(?=[^\s.:]+(?::|$))', '');
    name := split_part(kind, ': ', 1);
    WHILE kind ~ ': ' AND starts_with(kind, name || ': ' || name)
        AND substr(kind, 2 * length(name) + 3, 1) IN ('', ':', ' ')
    LOOP  -- IJulia
        kind := substr(kind, length(name) + 3);
    END LOOP;
    kind := regexp_replace(kind, suffix, '');
    IF starts_with(kind, 'KeyError: ') THEN
        -- A key as Python writes it; or in double quotes what pandas says of several.
        kind := 'KeyError: ' || COALESCE(substring(
            kind FROM '^KeyError: "(.*(?:not in index|are in the|not found in axis).*)"$'), '…');
    END IF;
    kind := regexp_replace(kind, quoted, '…', 'g');
    kind := regexp_replace(kind, varying, '…', 'g');
    kind := regexp_replace(kind, unquoted, '…', 'g');
    kind := regexp_replace(kind, listed, '…', 'g');
    kind := left(rtrim(regexp_replace(kind, '[\s\u00a0\u3000]+', ' ', 'g'), ' :'), 200);
    RETURN CASE WHEN kind ~ '[^\s….,:;()\[\]{}<>-]' THEN kind ELSE 'Error' END;
END $$;

-- The functions that count take the excerpts of errors, and are otherwise as they were.
DO $$
DECLARE
    name       text;
    definition text;
BEGIN
    FOREACH name IN ARRAY ARRAY['count_batches(integer)', 'recount_students(bigint[])'] LOOP
        definition := pg_get_functiondef(name::regprocedure);
        IF strpos(definition, 'left(e.error, 500)') = 0 THEN
            RAISE EXCEPTION '% takes no error', name;
        END IF;
        EXECUTE replace(definition, 'left(e.error, 500)', 'error_excerpt(e.error)');
    END LOOP;
END $$;

-- What was counted by the kinds of before is counted anew, a few students at a time.
INSERT INTO outbox_recounts SELECT DISTINCT student_id FROM cell_errors ON CONFLICT DO NOTHING;

INSERT INTO schema_migrations (number, name) VALUES (10, 'error_kinds');
\endif
COMMIT;

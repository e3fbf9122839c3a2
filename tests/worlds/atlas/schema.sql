CREATE TABLE land (code CHAR(3) PRIMARY KEY, name TEXT, continent TEXT, region TEXT, surface_area NUMERIC, independence_year INT, population BIGINT, life_expectancy NUMERIC, gnp NUMERIC, government_form TEXT, head_of_state TEXT);
CREATE TABLE town (id INT PRIMARY KEY, name TEXT, land_code CHAR(3) REFERENCES land(code), district TEXT, population INT);
CREATE TABLE land_language (land_code CHAR(3) REFERENCES land(code), language TEXT, is_official TEXT, percentage NUMERIC, PRIMARY KEY (land_code, language));

CREATE TABLE hall (hall_id INT PRIMARY KEY, name TEXT, town TEXT, seats INT, opened_year INT);
CREATE TABLE choir (choir_id INT PRIMARY KEY, name TEXT, country TEXT, founded_year INT, style TEXT);
CREATE TABLE singer (singer_id INT PRIMARY KEY, name TEXT, age INT, sex TEXT, voice TEXT, country TEXT, choir_id INT REFERENCES choir);
CREATE TABLE recital (recital_id INT PRIMARY KEY, title TEXT, theme TEXT, year INT, hall_id INT REFERENCES hall);
CREATE TABLE singer_in_recital (recital_id INT REFERENCES recital, singer_id INT REFERENCES singer, PRIMARY KEY (recital_id, singer_id));
